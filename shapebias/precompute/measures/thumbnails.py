"""The pictures that a store shows: those of the images that any top list names, as the network saw them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.loader import Batch
from shapebias.precompute.runner import Runner
from shapebias.precompute.statistics.state import Part

FEW = 4096  # images: so many pictures are kept while the images are watched; of more, the named ones are read again


class Pictures:
    """Collects encoded pictures, where a batch comes with them: `picture_image` int64 [n], the positions, and
    `picture_data` uint8, one after another, each up to its `picture_end` int64 [n]."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._pictures: list[bytes] = []

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        if batch.thumbnails is not None:
            self._positions += batch.positions.tolist()
            self._pictures += batch.thumbnails

    def part(self) -> Part:
        """As arrays."""
        return {
            "picture_image": np.array(self._positions, np.int64),
            "picture_data": np.frombuffer(b"".join(self._pictures), np.uint8),
            "picture_end": np.cumsum([len(each) for each in self._pictures], dtype=np.int64),
        }


@dataclass(frozen=True)
class Picturing:
    """Measures nothing: the pictures of a scan's images."""

    def start(self, runners: Sequence[Runner]) -> Pictures:
        return Pictures()


def pictures_of(parts: Iterable[Mapping[str, NDArray[Any]]], wanted: NDArray[np.int64]) -> dict[int, bytes]:
    """The pictures of the images at positions `wanted` (ascending), by position, as far as the parts have them."""
    found: dict[int, bytes] = {}
    for part in parts:
        images, ends = part["picture_image"], part["picture_end"]
        chosen = np.flatnonzero(np.isin(images, wanted))
        data = bytes(part["picture_data"]) if len(chosen) else b""
        for index in chosen:
            found[int(images[index])] = data[ends[index - 1] if index else 0 : ends[index]]
    return found
