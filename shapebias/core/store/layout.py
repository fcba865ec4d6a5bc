"""Where the numbers of a layer are: parts of its model's arrays; in stores of version 1, arrays of its own.

A model's units are numbered through its layers, in their order: `metrics`, `top/value`, `activations/max` and so on
have a row or a column for every unit of the model. Activation maps lie together where they are of one size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.store import schema

METRICS = "metrics"
MAPS = "top/map"
ACTIVATIONS = "activations/"
_PER_LAYER = 1  # version of stores that keep a group of arrays for every layer


@dataclass(frozen=True)
class ArrayPart:
    """The part of a store's array that belongs to one layer.

    path:          the array's, in the store
    axis:          that of units, of which the part has `count` of `total`, from `first` on; None: the whole array
    row, rows:     where an axis of so many rows comes before, the one that the part is of
    """

    path: str
    axis: int = 0
    first: int = 0
    count: int | None = None
    total: int = 0
    row: int | None = None
    rows: int = 0


class LayerArray:
    """A layer's part of an array, indexed as if it were an array of its own, by numbers and slices."""

    def __init__(self, array: "zarr.Array[Any]", part: ArrayPart) -> None:
        """Raises ValueError where the array is of another shape."""
        self._array, self._part = array, part
        shape = array.shape if part.row is None else array.shape[1:]
        fits = part.count is None or (len(shape) > part.axis and shape[part.axis] == part.total)
        if not fits or (part.row is not None and array.shape[0] != part.rows):
            raise ValueError(f"its shape is {array.shape}")
        if part.count is not None:
            shape = (*shape[: part.axis], part.count, *shape[part.axis + 1 :])
        self.shape: tuple[int, ...] = shape

    @property
    def path(self) -> str:
        """Of the array that it is part of, in the store."""
        return self._part.path

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        return np.asarray(self._array[self.whole_selection(selection)])

    def whole_selection(self, selection: Any) -> tuple[Any, ...]:
        """Return the same selection in the whole array."""
        chosen = list(selection) if isinstance(selection, tuple) else [] if selection is ... else [selection]
        chosen += [slice(None)] * (len(self.shape) - len(chosen))
        if self._part.count is not None:
            chosen[self._part.axis] = self._shifted(chosen[self._part.axis], self._part.count)
        return tuple(chosen) if self._part.row is None else (self._part.row, *chosen)

    def _shifted(self, index: Any, count: int) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(count)
            return slice(self._part.first + start, self._part.first + max(stop, start), step)
        if not -count <= index < count:
            raise IndexError(f"index {index} of {count}")
        return self._part.first + int(index) % count


@dataclass(frozen=True)
class Layout:
    """Where a model's layers are: their facts by name, and the names of the metrics in the order of their rows."""

    model: str
    version: int
    layers: Mapping[str, schema.Layer]
    metrics: tuple[str, ...] = ()

    def metric_names(self, layer: str) -> list[str]:
        """Return the metrics of a layer, of stores after version 1."""
        return [name for name in self.metrics if name not in self.layers[layer].lacks]

    def part(self, layer: str, name: str) -> ArrayPart:
        """Return which part of an array is a layer's, by a name such as `metrics/tv`, `top/value` or `concepts/label`.

        Raises KeyError for a metric that the model does not have.
        """
        if self.version == _PER_LAYER:
            return ArrayPart(f"{schema.layer_path(self.model, layer)}/{name}")
        path, facts, (first, first_map) = f"models/{self.model}", self.layers[layer], self._firsts[layer]
        if name.startswith(f"{METRICS}/"):
            metric = name.removeprefix(f"{METRICS}/")
            if metric not in self.metric_names(layer):
                raise KeyError(f"no metric {metric}")
            row = self.metrics.index(metric)
            return ArrayPart(f"{path}/{METRICS}", 0, first, facts.units, self.units, row, len(self.metrics))
        if name == MAPS:
            size = map_group(facts)
            total = sum(other.units for other in self.layers.values() if map_group(other) == size)
            return ArrayPart(f"{path}/{MAPS}/{size}", 0, first_map, facts.units, total)
        return ArrayPart(f"{path}/{name}", int(name.startswith(ACTIVATIONS)), first, facts.units, self.units)

    @cached_property
    def units(self) -> int:
        """The number of units of all layers."""
        return sum(facts.units for facts in self.layers.values())

    @cached_property
    def _firsts(self) -> dict[str, tuple[int, int]]:
        """The number of each layer's first unit, among all units of the model and among those with maps of its size."""
        firsts, units, maps = {}, 0, dict[str, int]()
        for name, facts in self.layers.items():
            same = map_group(facts)
            firsts[name] = units, maps.get(same, 0)
            units += facts.units
            maps[same] = maps.get(same, 0) + facts.units
        return firsts


def map_group(layer: schema.Layer) -> str:
    """Return the name of the array that holds maps of a layer's size: `13x13`, height first."""
    return f"{layer.map_height}x{layer.map_width}"
