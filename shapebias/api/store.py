"""A store, for Python programs."""

from collections.abc import Iterable
from os import PathLike, fsdecode
from pathlib import Path

from shapebias.api.comparison import Comparison, compared
from shapebias.api.html import lines_html
from shapebias.api.opened import Opened
from shapebias.api.table import Table, table_of
from shapebias.api.unit import Unit, UnitTable
from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.comparison import comparison, comparison_text, pair_of, record, shape_bias_record
from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.errors import UsageError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.reader import Store as CoreStore
from shapebias.core.text import printable
from shapebias.core.units.filter import select_units

_COUNTS = ("shape", "texture", "other", "shape_bias")


def open(*stores: str | PathLike[str]) -> "Store":
    """Open a store, or several as one, by path or URL.

    A label that an earlier store has too gets the name of its own store added: `S@b`. Raises UsageError without a path,
    StoreError where a store is missing, none, of a newer version, or damaged, and ShapebiasError where a server does
    not deliver it.

        >>> import shapebias
        >>> store = shapebias.open("pair.zarr")
        >>> store.models
        ['S', 'R']
    """
    if not stores:
        raise UsageError("name a store: shapebias.open('pair.zarr')")
    return Store(open_stores([store if isinstance(store, str) else Path(store) for store in stores]))


class Store:
    """A store of `shapebias precompute`, open for reading; `shapebias.open` returns it.

    Arrays are read when they are asked for. Whatever reads raises StoreError where the store is damaged.

        >>> store
        <Store pair.zarr: S, R>
        >>> store.layers("R")
        ['conv4', 'conv5']
    """

    def __init__(self, store: CoreStore) -> None:
        self._opened = Opened(store)

    @property
    def path(self) -> str:
        """The store's path or URL; of several stores, that of the first."""
        return str(self._opened.store.path)

    @property
    def models(self) -> list[str]:
        """The labels of the store's models."""
        return list(self._opened.store.models)

    def layers(self, model: str) -> list[str]:
        """Return the names of a model's layers, from the input to the output. Raises UsageError for another model.

        >>> store.layers("S")
        ['conv4', 'conv5']
        """
        self._opened.store.check_model(model)
        return list(self._opened.store.layers(model))

    def images(self, model: str | None = None) -> Table:
        """Return the probe images: the path in the set (`image`), and the class (empty where there is none).

        They are in the order of `Unit.activations`. Where several stores are open as one, `model` selects the images of
        its own store; None: those of all stores. Raises UsageError where there is no such model.

            >>> images = store.images()
            >>> images.columns, len(images)
            (['image', 'class'], 48)
        """
        store = self._opened.store
        if model is not None:
            store.check_model(model)
            store = store.owner(model).store
        names = store.class_names
        records = [
            {"image": fsdecode(path), "class": names[label] if label >= 0 else ""}
            for path, label in zip(store.image_paths, store.labels.tolist(), strict=True)
        ]
        return table_of(records, ("image", "class"))

    def units(self, condition: str = "", *, sort: str | None = None, ascending: bool = False) -> UnitTable:
        """Return the units that a condition selects (all without one), sorted by the metric `sort`, the largest first
        unless `ascending`.

        The condition is what `units --filter` takes: docs/design.md has its grammar. Without `sort`, units are in the
        order of models, layers and numbers. Raises UsageError, which says where the condition is wrong, or that there
        is no such metric.

            >>> units = store.units("top 10% selectivity and sparsity < 0.99", sort="smoothness")
            >>> len(units) <= 52, len(store.units())
            (True, 512)
        """
        return UnitTable(self._opened, select_units(self._opened.units, condition, sort, ascending))

    def unit(self, name: str) -> Unit:
        """Return the unit `MODEL/LAYER/INDEX`. Raises UsageError, which says what there is.

        >>> store.unit("R/conv5/42").name
        'R/conv5/42'
        """
        unit = self._opened.store.unit(name)
        table = self._opened.units
        first = table.layer.searchsorted(table.layers.index((unit.model, unit.layer)))
        return Unit(self._opened, table, int(first) + unit.index)

    def accuracy(self, all_right: bool = False) -> Table:
        """Return the top-1 accuracy of every model under every condition: clean, each distortion, attack and variant.

        The column `images` is the number of images that count: with `all_right` only those that all models of the store
        get right when clean.

            >>> clean = store.accuracy()[0]
            >>> 0 <= clean["accuracy"] <= 1
            True
        """
        records = [record(accuracy) for accuracy in accuracies(self._opened.store, all_right)]
        return table_of(records, ("model", "kind", "condition", "accuracy", "images"))

    def shape_bias(self, by_category: bool = False) -> Table:
        """Return how each model decided where shape and texture conflict: counts, shape bias and its 95 % interval.

        The interval, `low` to `high`, is NaN where there is none. With `by_category`, return counts and shape bias for
        every category of the shape. Empty where no model decided for such images.

            >>> bias = store.shape_bias()
            >>> bias.columns
            ['model', 'shape', 'texture', 'other', 'shape_bias', 'low', 'high', 'stimuli']
            >>> bool(bias["shape_bias"][1] > bias["shape_bias"][0])  # R leans on shape
            True
            >>> store.shape_bias(by_category=True).columns[:2]
            ['model', 'category']
        """
        records = {model: shape_bias_record(self._opened.store, model) for model in self.models}
        biases = {model: bias for model, bias in records.items() if bias is not None}
        if by_category:
            categories = [
                {"model": model, "category": category, **counts}
                for model, bias in biases.items()
                for category, counts in bias["categories"].items()
            ]
            return table_of(categories, ("model", "category", *_COUNTS))
        totals = [
            {"model": model, **bias, **dict(zip(("low", "high"), bias["interval"], strict=True))}
            for model, bias in biases.items()
        ]
        return table_of(totals, ("model", *_COUNTS, "low", "high", "stimuli"))

    def compare(
        self,
        first: str | None = None,
        second: str | None = None,
        *,
        metrics: Iterable[str] | None = None,
        all_right: bool = False,
        reference: str | None = None,
    ) -> Comparison:
        """Compare two models: accuracy, shape bias, and every metric (or only `metrics`) layer by layer.

        Without names, they are the first two of the store. `all_right` is as in `accuracy`. `reference` is the standard
        model, by default the first of the two: a unit of either is an outlier if noise changes its total variation by
        at least 20 % of this model's mean in the layer. Raises UsageError for a model or metric that is not there.

            >>> print(str(store.compare("S", "R", metrics=["smoothness"])).splitlines()[0].split())
            ['accuracy', 'S', 'R', 'images']
        """
        store = self._opened.store
        pair = pair_of(store, first, second)
        named = None if metrics is None else list(metrics)
        facts = comparison(store, *pair, metrics=named, all_right=all_right, reference=reference)
        text = comparison_text(store, *pair, metrics=named, all_right=all_right, reference=reference)
        return compared(facts, text)

    def info(self) -> dict[str, object]:
        """Return the facts of `info --json`: models with digests of their weights, layers, settings, notes.

        >>> store.info()["images"]
        48
        """
        return store_facts(self._opened.store)

    def __repr__(self) -> str:
        return f"<Store {printable(self.path)}: {', '.join(self.models)}>"

    def _repr_html_(self) -> str:
        return lines_html(store_text(self._opened.store))
