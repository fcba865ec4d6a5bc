"""A unit, and tables of units, for Python programs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shapebias.api.html import picture_html, table_html, text_html
from shapebias.api.opened import Opened
from shapebias.api.table import Table, TableBase, table_of
from shapebias.core.analysis.twins import find_twins
from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS
from shapebias.core.pictures.tiles import parse_view
from shapebias.core.pictures.unit_picture import unit_picture
from shapebias.core.store.concepts import layer_concepts, read_concepts, was_dissected
from shapebias.core.text import printable
from shapebias.core.units import table as core

_KINDS = ("max", "mean")
_CARD_IMAGES, _CARD_TILE = 10, 96  # the grid on a card: number of images, and their size in px


class Unit:
    """One unit of a store. In a notebook it is shown as a card with its strongest images.

    >>> unit = store.unit("R/conv5/42")
    >>> unit.model, unit.layer, unit.index
    ('R', 'conv5', 42)
    >>> 0 < unit.metrics["smoothness"] < 1
    True
    >>> unit
    <Unit R/conv5/42>
    """

    def __init__(self, opened: Opened, table: core.UnitTable, row: int) -> None:
        self._opened, self._table, self._row = opened, table, row
        self._unit = table.unit(row)

    @property
    def name(self) -> str:
        """The unit's full name, `MODEL/LAYER/INDEX`."""
        return str(self._unit)

    @property
    def model(self) -> str:
        """The label of the unit's model."""
        return self._unit.model

    @property
    def layer(self) -> str:
        """The name of the unit's layer."""
        return self._unit.layer

    @property
    def index(self) -> int:
        """The unit's number in the layer."""
        return self._unit.index

    @property
    def metrics(self) -> dict[str, float | str]:
        """Every metric of the unit by name; NaN (an empty text) where it is undefined. docs/design.md has the formulas.

        >>> metrics = store.unit("R/conv5/42").metrics
        >>> metrics["max"] >= metrics["q995"] >= 0
        True
        """
        return {name: self._table.cell(name, self._row) for name in self._table.columns}

    @property
    def concepts(self) -> Table:
        """The best concept of each category, that with the largest IoU, sorted by the IoU, the largest first.

        Empty where nothing was dissected.

        >>> store.unit("R/conv5/42").concepts.columns
        ['concept', 'category', 'iou']
        """
        owner, label = self._opened.store.owner(self.model)
        concepts = read_concepts(owner)
        records = []
        if concepts is not None and was_dissected(owner, label, self.layer):
            counts = layer_concepts(owner, concepts, label, self.layer)
            iou, best = counts.iou[self.index], counts.label[self.index]
            records = [
                {
                    "concept": concepts.names[best[category]],
                    "category": concepts.categories[category],
                    "iou": iou[category],
                }
                for category in np.argsort(-iou, kind="stable").tolist()
                if best[category] >= 0
            ]
        return table_of(records, ("concept", "category", "iou"))

    @property
    def top_images(self) -> Table:
        """The images with the largest activation, the strongest first: path (`image`), class (empty without one),
        activation (`value`), and the row `y` and column `x` of the map where it is.

            >>> store.unit("R/conv5/42").top_images.columns
            ['image', 'class', 'value', 'y', 'x']
        """
        store, top = self._opened.store, self._opened.store.top(self._unit)
        records = [
            {"image": store.image_name(image), "class": store.class_of(image), "value": value, "y": y, "x": x}
            for image, value, (y, x) in zip(top.image.tolist(), top.value.tolist(), top.position.tolist(), strict=True)
        ]
        return table_of(records, ("image", "class", "value", "y", "x"))

    def activations(self, kind: str = "max") -> NDArray[np.float32]:
        """Return the unit's activation for every image, float32 [images], in the order of `Store.images(model)`.

        It is the map's maximum, or with kind "mean" its mean, as precise as float16, in which it is stored. Raises
        UsageError for another kind, or where the store keeps none.

            >>> activations = store.unit("R/conv5/42").activations()
            >>> activations.shape == (len(store.images("R")),)
            True
        """
        store = self._opened.store
        if kind not in _KINDS:
            raise UsageError(f"no activations of kind {printable(str(kind))}: there are {', '.join(_KINDS)}")
        if not store.layer_has(self.model, self.layer, f"activations/{kind}"):
            raise UsageError(f"the store keeps no {kind} activations of {self.model}: see precompute --activations")
        shape = [len(store.image_paths_of(self.model)), store.layers(self.model)[self.layer].units]
        values = store.layer_read(self.model, self.layer, f"activations/{kind}", slice(None), self.index, shape=shape)
        return values.astype(np.float32)

    def twins(self, model: str | None = None, limit: int = 3) -> Table:
        """Return the units whose activations over the images correlate best with this one's, as `shapebias twins` does.

        They are of all models or of one. Of each model there are at most `limit` in the layer of the same name, and at
        most `limit` in all other layers. Raises UsageError where the store has no such model.

            >>> twins = store.unit("R/conv5/42").twins("S", limit=2)
            >>> twins.columns, len(twins)
            (['unit', 'correlation', 'group'], 4)
            >>> store.unit(twins[0]["unit"]).model
            'S'
        """
        candidates = find_twins(self._opened.correlator, self._unit, model, limit)
        return table_of([candidate.to_record() for candidate in candidates], ("unit", "correlation", "group"))

    def grid(self, view: str = "mask", *, images: int | None = None, columns: int = 5, tile: int = 256) -> Image.Image:
        """Return the unit's top images as an RGB picture, with captions: all of them or the strongest `images`, in rows
        of `columns`, on tiles of `tile` x `tile` px.

        Views: `crop` around the maximum, `mask` (dark where the unit does not fire), `whole`. Raises UsageError for
        another view.

            >>> store.unit("R/conv5/42").grid(view="crop", images=6, columns=3, tile=64).size
            (204, 168)
        """
        chosen = parse_view(view)
        return unit_picture(self._opened.store, self._unit, chosen, tile, images=images, columns=columns)

    def __repr__(self) -> str:
        return f"<Unit {printable(self.name)}>"

    def _repr_html_(self) -> str:
        metrics = {name: METRICS[name] for name in self._table.columns}
        rows = [[metric.title, metric.format(self._table.cell(name, self._row))] for name, metric in metrics.items()]
        half = -(-len(rows) // 2)
        parts = [f"<h4>{text_html(self.name)}</h4>"]
        if len(self._opened.store.top(self._unit).image):
            picture = self.grid(images=_CARD_IMAGES, tile=_CARD_TILE)
            parts.append(picture_html(picture, f"the strongest images of {self.name}"))
        tables = (
            table_html(("metric", "value"), part, numbers=(False, True)) for part in (rows[:half], rows[half:]) if part
        )
        return "".join(parts) + f'<div style="display: flex; flex-wrap: wrap; gap: 2em">{"".join(tables)}</div>'


class UnitTable(TableBase[Unit]):
    """Units in rows, with every metric in a column. A row is a `Unit`, a slice is a `UnitTable`, a column an array.

    >>> units = store.units("layer = conv5", sort="smoothness")
    >>> len(units)
    320
    >>> units[:3].columns[:4]
    ['model', 'layer', 'unit', 'smoothness']
    >>> bool(units[0].metrics["smoothness"] == units["smoothness"].max())
    True
    >>> frame = units.to_pandas()
    >>> frame.groupby("model")["smoothness"].mean().round(1).index.tolist()
    ['R', 'S']
    """

    def __init__(self, opened: Opened, table: core.UnitTable) -> None:
        super().__init__(core.unit_columns(table))
        self._opened, self._table = opened, table

    def _row(self, number: int) -> Unit:
        return Unit(self._opened, self._table, number)

    def _take(self, rows: NDArray[np.int64]) -> "UnitTable":
        return UnitTable(self._opened, self._table.take(rows))

    def _cell(self, name: str, value: Any) -> str:
        return METRICS[name].format(value) if name in METRICS else printable(str(value), 60)

    def _header(self) -> dict[str, str]:
        return {name: METRICS[name].formula if name in METRICS else "" for name in self._columns}

    def to_records(self, top: bool = True) -> list[dict[str, Any]]:
        """Return the records of `shapebias units --format json`: one dictionary per unit.

        NaN becomes None. Unless `top` is false, `top` lists the unit's top images.

            >>> record = store.units("layer = conv5")[:1].to_records()[0]
            >>> sorted(record["top"][0])
            ['image', 'value', 'x', 'y']
        """
        return core.unit_records(self._opened.store, self._table, top)
