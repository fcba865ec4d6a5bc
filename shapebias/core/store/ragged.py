"""Byte strings of different lengths in a store: one long uint8 array `data`, and `offsets`."""

from collections import OrderedDict
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

_BLOCK = 1 << 20  # bytes read at a time: a chunk of the store
_CACHED_BLOCKS = 64


class Ragged:
    """A list of byte strings, read as they are asked for; several threads may use it.

    Item i is data[offsets[i]:offsets[i + 1]]. Data is read in blocks of 1 MiB, and the last 64 blocks are kept, so that
    reading neighbours is cheap.
    """

    def __init__(self, data: "zarr.Array[Any]", offsets: NDArray[np.int64]) -> None:
        """`data` uint8 [bytes], `offsets` [items + 1]. Raises ValueError where the offsets do not fit the data."""
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != data.shape[0] or (np.diff(offsets) < 0).any():
            raise ValueError("offsets do not fit the data")
        self._data = data
        self._offsets = offsets
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        start, stop = int(self._offsets[index]), int(self._offsets[index + 1])
        blocks = range(start // _BLOCK, -(-stop // _BLOCK))
        joined = b"".join(self._block(block) for block in blocks)
        first = blocks.start * _BLOCK
        return joined[start - first : stop - first]

    def all(self) -> list[bytes]:
        """Return all items in order, read in one go and not kept."""
        joined = np.asarray(self._data[:]).tobytes()
        bounds = self._offsets.tolist()
        return [joined[start:stop] for start, stop in pairwise(bounds)]

    def _block(self, block: int) -> bytes:
        with self._lock:
            if block not in self._blocks:
                self._blocks[block] = np.asarray(self._data[block * _BLOCK : (block + 1) * _BLOCK]).tobytes()
                if len(self._blocks) > _CACHED_BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(block)
            return self._blocks[block]
