"""The pictures in a store: every image in a top list, as the network saw it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.loader import Batch
from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner

FEW = 4096  # most images whose pictures the first scan keeps; of more, those in top lists are read again


class Pictures:
    """Collects the picture files that come with batches.

    In a part, `picture_image` int64 [n] holds the images' positions in the scan, and `picture_data` uint8 the files one
    after another; each ends at its `picture_end` int64 [n].
    """

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._pictures: list[bytes] = []

    def feed(self, batch: Batch) -> None:
        """Add the pictures of a batch, if it has any."""
        if batch.thumbnails is not None:
            self._positions += batch.positions.tolist()
            self._pictures += batch.thumbnails

    def part(self) -> Part:
        """Return the pictures as arrays."""
        return {
            "picture_image": np.array(self._positions, np.int64),
            "picture_data": np.frombuffer(b"".join(self._pictures), np.uint8),
            "picture_end": np.cumsum([len(picture) for picture in self._pictures], dtype=np.int64),
        }


@dataclass(frozen=True)
class PictureMeasure:
    """Measures nothing: it only collects the pictures of a scan's images."""

    def start(self, runners: Sequence[Runner]) -> Pictures:
        """Return an empty collection for one shard."""
        return Pictures()


def pictures_of(parts: Iterable[Mapping[str, NDArray[Any]]], selection: NDArray[np.int64]) -> dict[int, bytes]:
    """Return the files of the pictures of images, by position in the scan; of `wanted`, those that the parts have."""
    pictures: dict[int, bytes] = {}
    for part in parts:
        images, ends = part["picture_image"], part["picture_end"]
        chosen = np.flatnonzero(np.isin(images, selection))
        data = bytes(part["picture_data"]) if len(chosen) else b""
        for index in chosen:
            pictures[int(images[index])] = data[ends[index - 1] if index else 0 : ends[index]]
    return pictures
