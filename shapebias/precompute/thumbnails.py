"""The pictures that a store shows: those of the images that any top list names, as the network saw them."""

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.decode import Geometry
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.stream import Stream

_CACHE = 64 << 20  # bytes of pictures kept from the pass; the others are decoded again at its end


class Thumbnails:
    """Encoded pictures by position in the listing, as many as fit into the cache."""

    def __init__(self) -> None:
        self._cache: dict[int, bytes] = {}
        self._room = _CACHE

    def remember(self, batch: Batch) -> None:
        """Keeps the batch's pictures while there is room."""
        for position, picture in zip(batch.positions, batch.thumbnails or [], strict=True):
            if len(picture) <= self._room:
                self._cache[int(position)] = picture
                self._room -= len(picture)

    def pictures(
        self, stream: Stream, geometry: Geometry, used: NDArray[np.int64], named: NDArray[np.int64]
    ) -> dict[int, bytes]:
        """The pictures of the images `named` (indices into `used`), by index. Raises ShapebiasError for one gone."""
        pictures = {int(index): self._cache[int(used[index])] for index in named if int(used[index]) in self._cache}
        missing = np.array([index for index in named if int(index) not in pictures], np.int64)
        if len(missing):
            for batch in stream.batches("thumbnails", geometry, used[missing], thumbnails=True):
                for position, picture in zip(batch.positions, batch.thumbnails or [], strict=True):
                    pictures[int(missing[position])] = picture
            stream.check_unchanged(len(pictures) == len(named))
        return pictures
