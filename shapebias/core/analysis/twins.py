"""Units that fire on the same images: a unit's twins in other models, and similar units in its own model."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store import schema
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import aligned, printable

_BLOCK = 4096  # number of images that are read at a time
_MEMORY = 256 << 20  # bytes of activations that are kept for later units


class TwinGroup(StrEnum):
    """The part of the store that a similar unit is from: a twin is of another model, a unit alike of the same one."""

    TWIN = "twin, same layer"
    TWIN_ELSEWHERE = "twin, other layer"
    ALIKE = "similar, same layer"
    ALIKE_ELSEWHERE = "similar, other layer"


@dataclass(frozen=True)
class SimilarUnit:
    """A unit, and Pearson's correlation of its activations with those of the unit asked for, in [-1, 1]."""

    unit: Unit
    correlation: float
    group: TwinGroup

    def to_record(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {"unit": str(self.unit), "correlation": self.correlation, "group": self.group.value}


class Correlator:
    """Computes correlations between stored activations of units.

    It reads `block` images at a time, and keeps what it reads: at most `memory` bytes, or a single block.
    """

    def __init__(self, store: Store, memory: int = _MEMORY, block: int = _BLOCK) -> None:
        self.store = store
        self._memory, self._block = memory, block
        self._kept: OrderedDict[tuple[str, str, int], NDArray[np.float32]] = OrderedDict()
        self._norms: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._lock = threading.Lock()
        self._last: tuple[Unit, NDArray[np.float32]] | None = None

    def comparable(self, one: str, other: str) -> bool:
        """Return whether two models saw the same images, which is not certain in joined stores."""
        paths, others = self.store.image_paths_of(one), self.store.image_paths_of(other)
        return paths is others or paths == others

    def correlations(self, unit: Unit, model: str, layer: str) -> NDArray[np.float64]:
        """Return Pearson's correlation of a unit's activations with those of every unit of a layer, float64 [units].

        The two models must be `comparable`. An activation is the maximum of the map; all probe images count. The result
        is exact to about 1e-6, as products are float32. It is NaN where one of the two units has the same activation
        for all images, a NaN, or a value clipped to float16's range. Threads may call this; they wait for each other.
        Raises StoreError.
        """
        with self._lock:
            return self._correlations(unit, model, layer)

    def _correlations(self, unit: Unit, model: str, layer: str) -> NDArray[np.float64]:
        if self._last is None or self._last[0] != unit:
            self._last = (unit, self._standardised(unit))
        standardised = self._last[1]
        norm = self._norm(model, layer)
        products = np.zeros(len(norm))
        for first, block in self._blocks(model, layer):
            # `standardised` sums to zero, so that no mean is subtracted.
            products += block.T @ standardised[first : first + len(block)]
        correlations = np.full(len(norm), np.nan)
        np.divide(products, norm, out=correlations, where=norm > 0)
        clipped: NDArray[np.float64] = np.clip(correlations, -1.0, 1.0)
        return clipped

    def _read(self, model: str, layer: str, *selection: Any) -> NDArray[Any]:
        """Return a layer's activations, float16 [images, units], or a basic selection of them by NumPy's indices."""
        shape = [len(self.store.image_paths_of(model)), self.store.layers(model)[layer].units]
        return self.store.layer_read(model, layer, "activations/max", *selection, shape=shape)

    def _standardised(self, unit: Unit) -> NDArray[np.float32]:
        """Return a unit's activations with mean 0 and norm 1, float32 [images]; all NaN where it has no correlation."""
        images = len(self.store.image_paths_of(unit.model))
        blocks = [slice(first, first + self._block) for first in range(0, images, self._block)]
        parts = [self._read(unit.model, unit.layer, rows, unit.index) for rows in blocks]
        values = np.concatenate([np.zeros(0), *parts])
        if not len(values) or not np.all(np.abs(values) < schema.CLIPPED) or (values == values[0]).all():
            return np.full(len(values), np.nan, np.float32)
        values -= values.mean()
        standardised: NDArray[np.float32] = (values / np.linalg.norm(values)).astype(np.float32)
        return standardised

    def _norm(self, model: str, layer: str) -> NDArray[np.float64]:
        """Return the norm of every unit's activations around their mean, float64 [units]; 0 where a unit has no
        correlation."""
        if (model, layer) not in self._norms:
            units = self.store.layers(model)[layer].units
            images, total, squares, usable = 0, np.zeros(units), np.zeros(units), np.ones(units, bool)
            for _, block in self._blocks(model, layer):
                images += len(block)
                usable &= np.isfinite(block).all(0)
                total += block.sum(0, dtype=np.float64)
                squares += np.einsum("ij,ij->j", block, block, dtype=np.float64)
            around = np.where(usable, squares - total**2 / max(images, 1), 0.0)
            self._norms[model, layer] = np.sqrt(np.maximum(around, 0.0))
        return self._norms[model, layer]

    def _blocks(self, model: str, layer: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield blocks of a layer's activations: the number of the first image, and float32 [block, units].

        The activations of image 0 are subtracted, so that units with the same activation for all images are exactly
        zero. Values are NaN where they were clipped.
        """
        origin: NDArray[np.float32] | None = None
        for first in range(0, len(self.store.image_paths_of(model)), self._block):
            key = (model, layer, first)
            if key not in self._kept:
                if origin is None:
                    origin = self._read(model, layer, slice(0, 1)).astype(np.float32)
                values = self._read(model, layer, slice(first, first + self._block)).astype(np.float32)
                values[~(np.abs(values) < schema.CLIPPED)] = np.nan
                self._keep(key, values - origin)
            self._kept.move_to_end(key)
            yield first, self._kept[key]

    def _keep(self, key: tuple[str, str, int], block: NDArray[np.float32]) -> None:
        self._kept[key] = block
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self._memory:
            self._kept.popitem(last=False)


def find_twins(correlator: Correlator, unit: Unit, model: str | None = None, limit: int = 3) -> list[SimilarUnit]:
    """Return the units that correlate best with `unit`, best first, at most `limit` per group. Raises StoreError.

    The groups of a model are the units in the layer with the same name, and those in other layers. The groups of every
    other model come first, those of the unit's own model last; with `model`, there are only those of this one. Models
    that saw other images are passed over. Raises UsageError where the store has no such model.
    """
    store = correlator.store
    if model is not None:
        store.check_model(model)
    labels = [label for label in store.models if label != unit.model] + [unit.model]
    candidates: list[SimilarUnit] = []
    for label in labels if model is None else [model]:
        if not correlator.comparable(unit.model, label):
            continue
        is_own_model = label == unit.model
        layers = list(store.layers(label))
        same_layer = [unit.layer] if unit.layer in layers else []
        elsewhere = [layer for layer in layers if layer not in same_layer]
        groups = (
            (TwinGroup.ALIKE, TwinGroup.ALIKE_ELSEWHERE) if is_own_model else (TwinGroup.TWIN, TwinGroup.TWIN_ELSEWHERE)
        )
        for group, searched in zip(groups, (same_layer, elsewhere), strict=True):
            best = _best_units(correlator, unit, label, searched, limit=limit)
            candidates += [SimilarUnit(twin, correlation, group) for twin, correlation in best]
    return candidates


def _best_units(
    correlator: Correlator, unit: Unit, model: str, layers: list[str], *, limit: int
) -> list[tuple[Unit, float]]:
    """Return the `limit` units of a model's `layers` that correlate best with `unit`, and their correlations.

    `unit` itself and units without a correlation are left out.
    """
    best: list[tuple[Unit, float]] = []
    for layer in layers:
        correlation = correlator.correlations(unit, model, layer)
        if (model, layer) == (unit.model, unit.layer):
            correlation[unit.index] = np.nan
        ranked = np.argsort(-correlation, kind="stable")[:limit].tolist()  # units without a correlation come last
        chosen = [index for index in ranked if not np.isnan(correlation[index])]
        best += [(Unit(model, layer, index), float(correlation[index])) for index in chosen]
    return sorted(best, key=lambda twin: -twin[1])[:limit]


def twins_text(unit: Unit, candidates: list[SimilarUnit]) -> str:
    """Return a table with one line per candidate, as `find_twins` found them for `unit`; without any, a line that says
    so.
    """
    if not candidates:
        return f"{printable(str(unit))}: no unit correlates with it\n"
    rows = [["correlation", "unit", "found as"]]
    rows += [[f"{twin.correlation:.3f}", printable(str(twin.unit)), twin.group.value] for twin in candidates]
    return aligned(rows, left=3)
