"""The scope of a report: a store, the models that it compares, and how much of it is displayed."""

from collections.abc import Sequence
from dataclasses import dataclass

from shapebias.core.analysis.comparison import living, pair_of, shared_layers
from shapebias.core.errors import UsageError
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

_MOST_LAYERS = 8  # the metrics that have galleries


@dataclass(frozen=True)
class Scope:
    """The store and the models of a report.

    pair:   the models that are compared; None for a store with one model
    light:  whether the report is to be small: with fewer and smaller pictures, and a shorter table
    """

    store: Store
    pair: tuple[str, str] | None
    light: bool = False

    @property
    def models(self) -> list[str]:
        """The models whose units are displayed: the pair, or the only one."""
        return list(self.pair or self.store.models)

    @property
    def every_model(self) -> list[str]:
        """All models of the store, those of the report first: in this order they have their colours."""
        return list(dict.fromkeys([*self.models, *self.store.models]))

    @property
    def shared(self) -> list[str]:
        """The layers that both models of the pair have by name, in which they are compared; empty without a pair."""
        if self.pair is None or not set(self.store.layers(self.pair[0])) & set(self.store.layers(self.pair[1])):
            return []
        return shared_layers(self.store, *self.pair)

    @property
    def layers(self) -> list[str]:
        """The layers of the models: those of the first, then those that only the second has."""
        return list(dict.fromkeys(layer for model in self.models for layer in self.store.layers(model)))

    @property
    def gallery_layers(self) -> list[str]:
        """The layers that have galleries: all, or some spread evenly from the first to the last."""
        layers = self.layers
        if len(layers) <= _MOST_LAYERS:
            return layers
        step = (len(layers) - 1) / (_MOST_LAYERS - 1)
        return [layers[round(number * step)] for number in range(_MOST_LAYERS)]

    def metrics(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that are metrics of any living unit (one that is ever above 0) of the models."""
        return [name for name in names if any(self._has(model, name) for model in self.models)]

    def _has(self, model: str, metric: str) -> bool:
        return any(
            len(living(self.store, model, layer, metric))
            for layer in self.store.layers(model)
            if metric in self.store.metric_names(model, layer)
        )


def scope_of(store: Store, pair: str | None, light: bool) -> Scope:
    """Return the scope for the value `pair` of `--pair S,R`; None: the store's first two models, or its only one.

    Raises UsageError where the value does not name two models of the store.
    """
    if pair is None:
        return Scope(store, pair_of(store, None, None) if len(store.models) > 1 else None, light)
    names = [name.strip() for name in pair.split(",")]
    if len(names) != 2 or not all(names):
        raise UsageError(f"--pair {printable(pair)}: name two models as S,R")
    return Scope(store, pair_of(store, *names), light)
