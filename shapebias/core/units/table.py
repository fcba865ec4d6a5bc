"""The unit table: one row a unit, one column a metric, over any models and layers of a store."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.dissection import unit_concepts
from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS, in_order
from shapebias.core.store.reader import Store, Unit
from shapebias.core.store.remote import read_metrics_ahead
from shapebias.core.text import printable

TEXTS = ("concept", "concept_category")


@dataclass(frozen=True)
class UnitTable:
    """Units in rows. `layers` lists the (model, layer) pairs; `layer` int32 [rows] points into it, `index` int32 [rows]
    is the unit in its layer; `columns` [rows] a metric: float32, or texts (object); where a layer lacks it
    NaN, or ""."""

    layers: list[tuple[str, str]]
    layer: NDArray[np.int32]
    index: NDArray[np.int32]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.index)

    def unit(self, row: int) -> Unit:
        model, layer = self.layers[self.layer[row]]
        return Unit(model, layer, int(self.index[row]))

    def cell(self, name: str, row: int) -> float | str:
        """The value of a metric in a row."""
        value = self.columns[name][row]
        return value if isinstance(value, str) else float(value)

    def take(self, rows: NDArray[np.int64]) -> "UnitTable":
        """The table of these rows, in this order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return UnitTable(self.layers, self.layer[rows], self.index[rows], columns)

    def first(self, count: int) -> "UnitTable":
        """The table of the first `count` rows, of all where it has fewer."""
        return self.take(np.arange(min(count, len(self))))

    def order(self, metric: str, ascending: bool = False) -> NDArray[np.int64]:
        """The rows sorted by a metric, ties by row, NaN last either way. Raises UsageError for an unknown metric."""
        if metric not in self.columns:
            known = ", ".join(self.columns)
            reason = "not in this store" if metric in METRICS else "no metric"
            raise UsageError(f"{printable(metric)} is {reason}: sort by one of {known}")
        values = self.columns[metric]
        if METRICS[metric].is_text:
            values = _ranks(values)
        return _stable_order(values if ascending else -values)


def _ranks(texts: NDArray[Any]) -> NDArray[np.float32]:
    """float32 [rows]: each text's place in the alphabet, NaN for an empty one."""
    place = {text: rank for rank, text in enumerate(sorted(set(texts.tolist()), key=str.casefold))}
    return np.array([place[text] if text else np.nan for text in texts.tolist()], np.float32)


def _stable_order(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """As argsort(kind="stable"), NaN last, four times as fast: sorts value and row as one integer.

    A float's bits, read as an integer, are in the order of the values once the negative ones are turned round.
    """
    plain = np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))  # one NaN, one zero
    bits = plain.view(np.uint32)
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    keys = keys << np.uint64(32) | np.arange(len(values), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def load_units(store: Store, model: str | None = None, layer: str | None = None) -> UnitTable:
    """Every unit of the store, or those of a model, of a layer, in the order of models, layers and indices.

    Raises UsageError for a model or layer that the store does not have.
    """
    if model is not None:
        store.check_model(model)
    pairs = []
    for label in [model] if model is not None else list(store.models):
        names = store.layers(label)
        if layer is not None:
            if model is None and layer not in names and not any(info.module == layer for info in names.values()):
                continue
            names = {store.check_layer(label, layer): names[store.check_layer(label, layer)]}
        pairs += [(label, name, info.units) for name, info in names.items()]
    if not pairs:
        raise UsageError(f"no model in the store has a layer {printable(str(layer))}")
    sizes = [units for _, _, units in pairs]
    read_metrics_ahead(store, [(label, name) for label, name, _ in pairs])
    stored = {(label, name): set(store.metric_names(label, name)) for label, name, _ in pairs}
    columns: dict[str, NDArray[Any]] = {}
    for metric in in_order(name for names in stored.values() for name in names):
        parts = [
            store.metric(label, name, metric) if metric in stored[label, name] else np.full(units, np.nan, np.float32)
            for label, name, units in pairs
        ]
        if metric == "iou":
            columns |= _concept_columns(store, pairs)
        columns[metric] = np.concatenate(parts)
    return UnitTable(
        [(label, name) for label, name, _ in pairs],
        np.repeat(np.arange(len(pairs), dtype=np.int32), sizes),
        np.concatenate([np.arange(units, dtype=np.int32) for units in sizes]),
        columns,
    )


def _concept_columns(store: Store, pairs: list[tuple[str, str, int]]) -> dict[str, NDArray[Any]]:
    """`concept` and `concept_category` of every unit, object [rows]."""
    found = [unit_concepts(store, label, name) for label, name, _ in pairs]
    return {name: np.concatenate([part[index] for part in found]) for index, name in enumerate(TEXTS)}


def unit_records(store: Store, table: UnitTable, top: bool = True) -> list[dict[str, Any]]:
    """One dict a row: model, layer, unit, every metric (None where not finite) and, unless `top` is false, the top
    images as {image, value, y, x}, `image` being the path in the set (surrogates for bytes that are not UTF-8)."""
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
            record["top"] = _top(store, *(values[unit.index] for values in lists[key]))
        records.append(record)
    return records


def _finite(value: np.float32) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None


def _top(
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
