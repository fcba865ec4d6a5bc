"""The comparison of two groups of networks, layer by layer, by exact permutation tests over networks, not over their
units.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.comparison import larger_in_words, living, record
from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS, in_order
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned, printable
from shapebias.core.uncertainty.resampling import Significance, exchange_test, holm, sign_flip_test

DRAWS = 20_000  # number of random arrangements, where there are too many to test all
OVERALL = ""  # in place of a layer's name: all layers together

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Groups:
    """Two groups of a store's models.

    names:   the names of the groups
    models:  the labels of the models in each
    paired:  whether the models at equal positions form pairs of one architecture
    """

    names: tuple[str, str]
    models: tuple[list[str], list[str]]
    paired: bool

    @property
    def blocks(self) -> list[list[str]]:
        """The sets of models within which group labels are exchanged: each pair, or all models."""
        first, second = self.models
        return [list(pair) for pair in zip(first, second, strict=True)] if self.paired else [[*first, *second]]


@dataclass(frozen=True, kw_only=True)
class GroupDifference:
    """The difference of a metric between two groups of networks in a layer: the second group's mean minus the first's.

    layer:     a layer's name, or OVERALL: then a network's value is its mean over the layers, each divided by the
               standard deviation of its units
    values:    for each group, the value of every network that has one, by label: the median over its living units
    means:     each group's mean of these values; NaN without any
    p:         that of a two-sided test, in which networks are exchanged between the groups, or within pairs
    p_holm:    p, corrected over the metric's layers (Holm); for OVERALL, over the metrics
    smallest:  the smallest p that so many networks can give
    exact:     whether all arrangements were tested, not a random sample
    """

    layer: str
    metric: str
    values: tuple[dict[str, float], dict[str, float]]
    means: tuple[float, float]
    difference: float
    p: float
    p_holm: float
    smallest: float
    exact: bool


def parse_groups(store: Store, texts: Sequence[str]) -> Groups:
    """Return the two groups of models that `texts` name, each written `NAME=MODEL,MODEL,...`.

    They are paired if both have more than one model and each architecture once. Raises UsageError for another form,
    where there are not two, where they have one name or share a model, and for an unknown model.
    """
    if len(texts) != 2:
        raise UsageError("compare two groups: --group S=MODEL,MODEL,... --group R=MODEL,MODEL,...")
    names, models = [], []
    for text in texts:
        name, _, labels = text.partition("=")
        members = [label.strip() for label in labels.split(",") if label.strip()]
        if not name.strip() or not members:
            raise UsageError(f"--group {printable(text, 60)}: write NAME=MODEL,MODEL,...")
        for label in members:
            store.check_model(label)
        names.append(name.strip())
        models.append(members)
    if names[0] == names[1]:
        raise UsageError(f"both groups are called {printable(names[0])}")
    label, times = Counter([*models[0], *models[1]]).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{printable(label)} is named {times} times: name each network once, in one group")
    return _paired_by_architecture(store, (names[0], names[1]), (models[0], models[1]))


def _paired_by_architecture(store: Store, names: tuple[str, str], models: tuple[list[str], list[str]]) -> Groups:
    """Return the groups; as pairs, the second in the first one's order, if both have more than one model and each
    architecture once.
    """
    first, second = ({store.models[label].architecture: label for label in members} for members in models)
    is_paired = len(first) > 1 and first.keys() == second.keys() and len(models[0]) == len(models[1]) == len(first)
    return Groups(names, (models[0], [second[kind] for kind in first]) if is_paired else models, is_paired)


def compare_groups(store: Store, groups: Groups, metrics: list[str] | None = None) -> list[GroupDifference]:
    """Compare two groups by every metric (or those named) in every layer that all networks have, and over all layers.

    Returns the differences in layers, metric by metric, then one over all layers for each metric. That one is over the
    layers that the networks of a pair, or all networks if there are no pairs, have in common. Random arrangements are
    seeded. Raises UsageError for a metric that the networks do not have, and where they share no layer.
    """
    layers = [_shared_layers(store, block) for block in groups.blocks]
    if not all(layers):
        raise UsageError("the networks have no layer names in common: their layers cannot be compared")
    everywhere = [layer for layer in layers[0] if all(layer in others for others in layers)]
    available = in_order(
        name
        for block, names in zip(groups.blocks, layers, strict=True)
        for layer in names
        for name in store.metric_names(block[0], layer)
    )
    for name in metrics or []:
        if name not in available:
            raise UsageError(f"{printable(name)} is not a metric of these networks: there are {', '.join(available)}")
    by_layer, overall = [], []
    for metric in metrics or available:
        rows = [_difference(groups, metric, layer, _medians(store, groups, metric, layer)) for layer in everywhere]
        by_layer += _corrected(rows)
        overall.append(_difference(groups, metric, OVERALL, _overall_values(store, groups, metric, layers)))
    return [*by_layer, *_corrected(overall)]


def _shared_layers(store: Store, models: Sequence[str]) -> list[str]:
    return [layer for layer in store.layers(models[0]) if all(layer in store.layers(model) for model in models)]


def _units(store: Store, model: str, layer: str, metric: str) -> Floats:
    return living(store, model, layer, metric) if metric in store.metric_names(model, layer) else np.zeros(0)


def _medians(store: Store, groups: Groups, metric: str, layer: str) -> dict[str, float]:
    """Return the median of a metric over the living units of a layer, by label, for every network that has values."""
    units = {model: _units(store, model, layer, metric) for block in groups.blocks for model in block}
    return {model: float(np.median(values)) for model, values in units.items() if len(values)}


def _overall_values(store: Store, groups: Groups, metric: str, layers: list[list[str]]) -> dict[str, float]:
    """Return by network the mean over layers of its median, in standard deviations of the units in that layer.

    layers: for each block of `Groups.blocks` the names of the layers that its networks have.

    The units are those of all networks of the block, so that the scale does not depend on which network is in which
    group. Layers where one of them has no value, or all values are the same, do not count; a network without layers is
    left out.
    """
    values: dict[str, float] = {}
    for block, names in zip(groups.blocks, layers, strict=True):
        scaled: dict[str, list[float]] = {model: [] for model in block}
        for layer in names:
            units = {model: _units(store, model, layer, metric) for model in block}
            spread = float(np.concatenate(list(units.values())).std()) if all(map(len, units.values())) else 0.0
            for model in block:
                if spread > 0:
                    scaled[model].append(float(np.median(units[model])) / spread)
        values |= {model: float(np.mean(of_layers)) for model, of_layers in scaled.items() if of_layers}
    return values


def _difference(groups: Groups, metric: str, layer: str, values: dict[str, float]) -> GroupDifference:
    """Return the difference between the groups, from the networks' `values` by label; `p_holm` is not yet corrected.

    Of pairs, only those count where both networks have a value.
    """
    if groups.paired:
        whole = [pair for pair in groups.blocks if all(model in values for model in pair)]
        chosen = ([pair[0] for pair in whole], [pair[1] for pair in whole])
    else:
        one, other = ([model for model in models if model in values] for models in groups.models)
        chosen = (one, other)
    a, b = (np.array([values[model] for model in models]) for models in chosen)
    random = np.random.default_rng(0)
    tested: Significance = (
        sign_flip_test(b - a, draws=DRAWS, random=random)
        if groups.paired
        else exchange_test(a, b, draws=DRAWS, random=random)
    )
    first, second = (float(side.mean()) if len(side) else float("nan") for side in (a, b))
    return GroupDifference(
        layer=layer,
        metric=metric,
        values=({model: values[model] for model in chosen[0]}, {model: values[model] for model in chosen[1]}),
        means=(first, second),
        difference=second - first,
        p=tested.p,
        p_holm=tested.p,
        smallest=tested.smallest,
        exact=tested.exact,
    )


def _corrected(family: list[GroupDifference]) -> list[GroupDifference]:
    corrected = holm([row.p for row in family])
    return [replace(row, p_holm=p) for row, p in zip(family, corrected, strict=True)]


# As JSON and as text


def groups_record(store: Store, groups: Groups, metrics: list[str] | None = None) -> dict[str, Any]:
    """Return the comparison of two groups by `compare_groups`, ready for JSON. Raises its errors."""
    rows = compare_groups(store, groups, metrics)
    return {
        "groups": dict(zip(groups.names, groups.models, strict=True)),
        "tests_over": "networks",
        "paired_by_architecture": groups.paired,
        "value_of_a_network": "median over its living units",
        "layers": [record(row) for row in rows if row.layer != OVERALL],
        "overall": [record(row) for row in rows if row.layer == OVERALL],
    }


def groups_text(store: Store, groups: Groups, metrics: list[str] | None = None) -> str:
    """Return the comparison of two groups by `compare_groups` as a table and one sentence per metric.

    A sentence before these says the smallest p that so many networks can give. Raises the errors of `compare_groups`.
    """
    rows = compare_groups(store, groups, metrics)
    layers, overall = ([row for row in rows if (row.layer == OVERALL) is over_all] for over_all in (False, True))
    table = _layer_table(groups, layers) if layers else ""
    lines = [_what_is_tested(groups, rows), *(_sentence(row, groups.names[1]) for row in overall if row.p == row.p)]
    return "\n".join(part for part in (table, "".join(f"{line}\n" for line in lines)) if part)


def _layer_table(groups: Groups, rows: Iterable[GroupDifference]) -> str:
    lines = [["metric", "layer", *map(printable, groups.names), "difference", "networks", "p", "p (Holm)"]]
    for row in rows:
        show = METRICS[row.metric].format
        numbers = [show(value) for value in (*row.means, row.difference)]
        networks = "/".join(str(len(values)) for values in row.values)
        lines.append([METRICS[row.metric].title, row.layer, *numbers, networks, _p_text(row.p), _p_text(row.p_holm)])
    return aligned(lines, left=2)


def _what_is_tested(groups: Groups, rows: list[GroupDifference]) -> str:
    """Return a sentence on the test that was made and the smallest p that it can give with so many networks."""
    first, second = map(len, groups.models)
    sizes = (
        f"{first} pairs of one architecture, signs flipped" if groups.paired else f"{first} against {second} networks"
    )
    smallest = min((row.smallest for row in rows if row.smallest == row.smallest), default=float("nan"))
    drawn = "" if all(row.exact for row in rows) else f", {DRAWS:,} arrangements drawn"
    return (
        f"permutation test of the networks' medians ({sizes}{drawn}): the smallest p that so many can reach is "
        f"{_p_text(smallest)}"
    )


def _sentence(row: GroupDifference, second: str) -> str:
    more = larger_in_words(row.metric)
    return (
        f"{printable(second)} is {more} by {row.difference:+.2f} standard deviations over all layers "
        f"(p = {_p_text(row.p)}, Holm {_p_text(row.p_holm)})"
    )


def _p_text(value: float) -> str:
    return "–" if value != value else f"{value:.4f}"
