"""The comparison of two models of a store."""

from dataclasses import dataclass, field
from typing import Any

from shapebias.api.html import lines_html
from shapebias.api.table import Table, table_of

_SIDE = ("mean", "median", "lower_quartile", "upper_quartile", "units", "dead")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The comparison of two models by `shapebias compare`; as text, it is what the command prints.

    models:    the labels of the two models
    accuracy:  accuracies of both models under every condition
    overall:   for every metric, in how many layers (`layers`) it is compared, in how many of them (`larger`) the second
               model has the larger mean, and by how much on average (`effect`), in standard deviations of the layer's
               units
    layers:    for every metric and layer, the second model's mean minus the first's, with a 95 % interval over units
    record:    all of this and more, as `compare --json` prints it
    text:      what `compare` prints

        >>> comparison = store.compare("S", "R", metrics=["smoothness"])
        >>> comparison.models
        ('S', 'R')
        >>> comparison.overall.columns
        ['metric', 'layers', 'larger', 'effect']
        >>> comparison.layers[0]["layer"], comparison.layers[0]["metric"]
        ('conv4', 'smoothness')
    """

    models: tuple[str, str]
    accuracy: Table
    overall: Table
    layers: Table
    record: dict[str, Any] = field(repr=False)
    text: str = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return lines_html(self.text)


def compared(record: dict[str, Any], text: str) -> Comparison:
    """Return a comparison from what `compare --json` and `compare` print: the record and the text."""
    first, second = record["models"]
    return Comparison(
        models=(first, second),
        accuracy=table_of(record["accuracy"], ("model", "kind", "condition", "accuracy", "images")),
        overall=table_of(record["overall"], ("metric", "layers", "larger", "effect")),
        layers=table_of(
            [_flat(difference) for difference in record["layers"]],
            (
                *("metric", "layer", "difference", "low", "high", "p", "p_holm"),
                *(f"{side}_{name}" for side in ("first", "second") for name in _SIDE),
            ),
        ),
        record=record,
        text=text,
    )


def _flat(difference: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a difference with those of its two sides beside them, as `first_mean` and so on."""
    sides = {f"{side}_{name}": difference[side][name] for side in ("first", "second") for name in _SIDE}
    return difference | sides
