"""Arrays with one row per image: collected batch by batch for a part, and joined from all parts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.parts import Part

POSITION = "position"  # int64 [images of the shard that could be used]: which of the scan's images rows are of


class Rows:
    """Collects arrays with one row per image, batch by batch, by name."""

    def __init__(self) -> None:
        self._lists: dict[str, list[NDArray[Any]]] = {}

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add arrays [B, ...] of a batch."""
        for name, array in arrays.items():
            self._lists.setdefault(name, []).append(array)

    def part(self) -> Part:
        """Return the arrays of all batches, joined."""
        return {name: np.concatenate(arrays) for name, arrays in self._lists.items()}


def used_positions(parts: Iterable[Mapping[str, NDArray[Any]]]) -> NDArray[np.int64]:
    """Return the positions in the scan of the images that could be used, int64, ascending."""
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *(part[POSITION] for part in parts if POSITION in part)])


def rows_by_image(
    parts: Iterable[Mapping[str, NDArray[Any]]], image_count: int, names: Sequence[str]
) -> tuple[NDArray[np.bool_], dict[str, NDArray[Any]]]:
    """Return which of a scan's images could be used, bool [images], and the arrays `names` of all of its images.

    The rows of other images are -1; an array that no part has is not there.
    """
    seen = np.zeros(image_count, bool)
    arrays: dict[str, NDArray[Any]] = {}
    for part in parts:
        if POSITION not in part:  # no image of the shard could be used
            continue
        position = part[POSITION]
        seen[position] = True
        for name in names:
            rows = part[name]
            if name not in arrays:
                arrays[name] = np.full((image_count, *rows.shape[1:]), -1, rows.dtype)
            arrays[name][position] = rows
    return seen, arrays
