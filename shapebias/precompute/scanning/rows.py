"""Arrays with one row per image: collected batch by batch for a part, and joined from all parts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.parts import Part

POSITION = "position"  # name of int64 [images of the shard that could be used]: the scan's image that each row is of


class Rows:
    """Collects arrays with one row per image of a shard, batch by batch, by name."""

    def __init__(self) -> None:
        self._lists: dict[str, list[NDArray[Any]]] = {}

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Append the arrays of a batch, [B, ...] each, to those of the same names."""
        for name, array in arrays.items():
            self._lists.setdefault(name, []).append(array)

    def part(self) -> Part:
        """Return the arrays of all batches by name, joined along the first axis; empty where no batch was added."""
        return {name: np.concatenate(arrays) for name, arrays in self._lists.items()}


def used_positions(parts: Iterable[Mapping[str, NDArray[Any]]]) -> NDArray[np.int64]:
    """Return the positions in the scan of the images that could be used, int64 [used images].

    `parts` are those of all shards, in order, from which it follows that positions are ascending.
    """
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *(part[POSITION] for part in parts if POSITION in part)])


def rows_by_image(
    parts: Iterable[Mapping[str, NDArray[Any]]], image_count: int, names: Sequence[str]
) -> tuple[NDArray[np.bool_], dict[str, NDArray[Any]]]:
    """Return which of a scan's images could be used, bool [images], and the arrays called `names`, [images, ...] each.

    The rows of images that could not be used are -1. Where no image could be used, there are no arrays.

    parts:        of the scan's shards, in any order, with arrays that `Rows` has collected
    image_count:  the number of the scan's images
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
