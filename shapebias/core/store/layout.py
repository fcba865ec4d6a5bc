"""The position of each layer's arrays in a store.

The units of a model have one numbering through all of its layers, in the layers' order: `metrics`, `top/value`,
`activations/max` and so on have one row or column for every unit of the model. Activation maps of the same size are in
one array. In stores of version 1 every layer has its own arrays.
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
    """The part of a stored array that belongs to one layer.

    path:          the array's path in the store
    axis:          the axis of units, not counting the axis of `rows`
    first, count:  the part is units `first` to `first + count - 1`; all of them where `count` is None
    total:         the length of the axis of units; ignored where `count` is None
    row, rows:     the part is in row `row` of the array's first axis, which has `rows` rows (one for each metric); None
                   and 0 where the array has no such axis
    """

    path: str
    axis: int = 0
    first: int = 0
    count: int | None = None
    total: int = 0
    row: int | None = None
    rows: int = 0


class LayerArray:
    """A layer's part of a stored array, indexed as if it were an array of its own; indexing reads the values.

    An index is a number, a slice, a tuple of these, or `...` for the whole part. The number of a unit that the layer
    does not have raises IndexError.
    """

    def __init__(self, array: "zarr.Array[Any]", part: ArrayPart) -> None:
        """Raises ValueError where the array's axes of rows and of units do not have the lengths that `part` says."""
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
        """The path in the store of the array that holds this part."""
        return self._part.path

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the array's elements."""
        return self._array.dtype

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        return np.asarray(self._array[self.whole_selection(selection)])

    def whole_selection(self, selection: Any) -> tuple[Any, ...]:
        """Return the index of the whole array that selects the same values as an index of this part.

        Raises IndexError for a unit that the layer does not have.
        """
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
class StoreLayout:
    """The layout of a model's arrays.

    model:    the model's label
    version:  the version of the store
    layers:   facts of the layers by name, from input to output
    metrics:  names of the model's metrics, in the order of their rows in the array `metrics`; empty in version 1
    """

    model: str
    version: int
    layers: Mapping[str, schema.Layer]
    metrics: tuple[str, ...] = ()

    def metric_names(self, layer: str) -> list[str]:
        """Return the names of a layer's metrics, in the order of `metrics`. Only for stores after version 1."""
        return [name for name in self.metrics if name not in self.layers[layer].lacks]

    def part(self, layer: str, name: str) -> ArrayPart:
        """Return where a layer's array is: `name` is its name, such as `metrics/tv`, `top/value` or `concepts/label`.

        The array need not exist. Raises KeyError for a layer that the model does not have and, after version 1, for a
        metric that the layer does not have.
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
        """For each layer the index of its first unit among all units of the model, and among those with maps of the
        same size.
        """
        firsts, units, maps = {}, 0, dict[str, int]()
        for name, facts in self.layers.items():
            same = map_group(facts)
            firsts[name] = units, maps.get(same, 0)
            units += facts.units
            maps[same] = maps.get(same, 0) + facts.units
        return firsts


def map_group(layer: schema.Layer) -> str:
    """Return the name of the array that holds maps of a layer's size, height first: `13x13`."""
    return f"{layer.map_height}x{layer.map_width}"
