"""The unit table: one row per unit, one column per metric, over any models and layers of a store."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS, in_order
from shapebias.core.store.concepts import unit_concepts
from shapebias.core.store.reader import Store, Unit
from shapebias.core.store.remote import read_metrics_ahead
from shapebias.core.text import printable

TEXTS = ("concept", "concept_category")


@dataclass(frozen=True)
class UnitTable:
    """A table with one row per unit.

    layers:   the (model, layer) pairs whose units may be in the table
    layer:    int32 [rows], the unit's layer: an index into `layers`
    index:    int32 [rows], the unit's number in its layer
    columns:  by the metric's name its values [rows]: float32, NaN where a unit has none; or texts (object), empty where
              it has none

    >>> column = {"tv": np.array([0.5, 2.0], np.float32)}
    >>> table = UnitTable([("demo-s", "conv1")], np.zeros(2, np.int32), np.arange(2, dtype=np.int32), column)
    >>> str(table.unit(1)), table.cell("tv", 1), table.order("tv").tolist()
    ('demo-s/conv1/1', 2.0, [1, 0])
    """

    layers: list[tuple[str, str]]
    layer: NDArray[np.int32]
    index: NDArray[np.int32]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.index)

    def unit(self, row: int) -> Unit:
        """Return the unit in a row."""
        model, layer = self.layers[self.layer[row]]
        return Unit(model, layer, int(self.index[row]))

    def row(self, unit: Unit) -> int | None:
        """Return the row of a unit, None where the table does not have it."""
        key = (unit.model, unit.layer)
        if key not in self.layers:
            return None
        rows = np.flatnonzero((self.index == unit.index) & (self.layer == self.layers.index(key)))
        return int(rows[0]) if len(rows) else None

    def cell(self, name: str, row: int) -> float | str:
        """Return the value of a metric in a row; NaN or an empty text where the unit has none."""
        value = self.columns[name][row]
        return value if isinstance(value, str) else float(value)

    def take(self, rows: NDArray[np.int64]) -> "UnitTable":
        """Return a table of these rows, in this order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return UnitTable(self.layers, self.layer[rows], self.index[rows], columns)

    def first(self, count: int) -> "UnitTable":
        """Return a table of the first `count` rows, or of all where there are fewer."""
        return self.take(np.arange(min(count, len(self))))

    def order(self, metric: str, ascending: bool = False) -> NDArray[np.int64]:
        """Return the rows sorted by a metric, int64 [rows]. Of equal values the earlier row comes first; NaN come last.

        Raises UsageError for a metric that the table does not have.
        """
        if metric not in self.columns:
            columns = ", ".join(self.columns)
            reason = "not in this store" if metric in METRICS else "no metric"
            raise UsageError(f"{printable(metric)} is {reason}: sort by one of {columns}")
        values = self.columns[metric]
        if METRICS[metric].is_text:
            values = _ranks(values)
        return _stable_order(values if ascending else -values)


def _ranks(texts: NDArray[Any]) -> NDArray[np.float32]:
    """Return the rank of each text among the different texts, float32 [rows], from 0 in alphabetical order; NaN for an
    empty one.
    """
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts.tolist()), key=str.casefold))}
    return np.array([ranks[text] if text else np.nan for text in texts.tolist()], np.float32)


def _stable_order(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the same as argsort(kind="stable"), NaN last, four times as fast: value and row are sorted as one integer.

    Read as integers, the bits of floats have the order of their values once those of negative floats are inverted.
    """
    # Give all NaN the same bits, and 0 and -0 the same bits.
    plain = np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))
    bits = plain.view(np.uint32)
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    keys = keys << np.uint64(32) | np.arange(len(values), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def unit_columns(table: UnitTable) -> dict[str, NDArray[Any]]:
    """Return the table's columns for a data frame, [rows] each, by name: `model` and `layer` (texts), `unit` (the
    number in the layer) and every metric.
    """
    models, layers = (np.array(names, object) for names in zip(*table.layers, strict=True))
    return {"model": models[table.layer], "layer": layers[table.layer], "unit": table.index, **table.columns}


def load_units(store: Store, model: str | None = None, layer: str | None = None) -> UnitTable:
    """Return a table of all units of a store, or of those of one `model` or of layers called `layer`, in the order of
    models, layers and indices.

    Raises UsageError for a model or layer that the store does not have, and StoreError for a damaged store.
    """
    layers = _layers(store, model, layer)
    sizes = [store.layers(label)[name].units for label, name in layers]
    return UnitTable(
        layers,
        np.repeat(np.arange(len(layers), dtype=np.int32), sizes),
        np.concatenate([np.arange(units, dtype=np.int32) for units in sizes]),
        _columns(store, layers),
    )


def _layers(store: Store, model: str | None, layer: str | None) -> list[tuple[str, str]]:
    """Return the (model, layer) pairs of all layers, or of the requested ones; a layer may be given by its module path.

    Raises UsageError where there is none.
    """
    if model is not None:
        store.check_model(model)
    pairs: list[tuple[str, str]] = []
    for label in [model] if model is not None else list(store.models):
        layers = store.layers(label)
        if layer is None:
            pairs += [(label, name) for name in layers]
        elif model is not None or layer in layers or any(facts.module == layer for facts in layers.values()):
            pairs.append((label, store.check_layer(label, layer)))
    if not pairs:
        raise UsageError(f"no model in the store has a layer {printable(str(layer))}")
    return pairs


def _columns(store: Store, layers: list[tuple[str, str]]) -> dict[str, NDArray[Any]]:
    """Return by name every metric that some of the layers have, [units of all layers], NaN for units that lack it; the
    concepts come before their IoU.
    """
    read_metrics_ahead(store, layers)
    stored = {pair: set(store.metric_names(*pair)) for pair in layers}
    columns: dict[str, NDArray[Any]] = {}
    for metric in in_order(name for names in stored.values() for name in names):
        parts = [
            store.metric(model, layer, metric)
            if metric in stored[model, layer]
            else np.full(store.layers(model)[layer].units, np.nan, np.float32)
            for model, layer in layers
        ]
        if metric == "iou":
            columns |= _concept_columns(store, layers)
        columns[metric] = np.concatenate(parts)
    return columns


def _concept_columns(store: Store, layers: list[tuple[str, str]]) -> dict[str, NDArray[Any]]:
    """Return the columns `concept` and `concept_category`, object [units of all layers]."""
    concepts, categories = zip(*(unit_concepts(store, *pair) for pair in layers), strict=True)
    return dict(zip(TEXTS, (np.concatenate(concepts), np.concatenate(categories)), strict=True))


def unit_records(store: Store, table: UnitTable, top: bool = True) -> list[dict[str, Any]]:
    """Return one dictionary per row, ready for JSON: model, layer, unit (the number in the layer), and every metric by
    name, None where it is not finite or an empty text.

    Unless the argument `top` is false, the key `top` lists the unit's top images as {image, value, y, x}: the path of
    the image in the set (surrogates stand for bytes that are not UTF-8), the activation, and its position in the map.
    """
    records = []
    lists: dict[tuple[str, str], list[NDArray[Any]]] = {}
    for row in range(len(table)):
        unit = table.unit(row)
        record: dict[str, Any] = {"model": unit.model, "layer": unit.layer, "unit": unit.index}
        for name, values in table.columns.items():
            record[name] = (values[row] or None) if METRICS[name].is_text else _finite(values[row])
        if top:
            key = (unit.model, unit.layer)
            if key not in lists:
                lists[key] = [store.top_lists(*key, name) for name in ("value", "image", "position")]
            record["top"] = _top_records(store, *(values[unit.index] for values in lists[key]))
        records.append(record)
    return records


def _finite(value: np.float32) -> float | None:
    """Return a number for JSON: None for NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


def _top_records(
    store: Store, value: NDArray[np.float32], image: NDArray[np.int32], position: NDArray[np.int32]
) -> list[dict[str, Any]]:
    return [
        {
            "image": store.image_name(int(image[rank])),
            "value": _finite(value[rank]),
            "y": int(position[rank, 0]),
            "x": int(position[rank, 1]),
        }
        for rank in range(len(image))
        if image[rank] >= 0
    ]
