"""Random numbers for an image, which depend only on the image and a seed, so that they are the same in any batch."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_PAIRS = 128  # smallest number of pairs for each map


def uniform(seed: int, image: NDArray[np.int64], stream: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1), the same for the same seed, image and stream (SplitMix64's finaliser)."""
    with np.errstate(over="ignore"):
        bits = image.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + stream * np.uint64(0xD1B54A32D192ED03)
        bits = bits + np.uint64(seed) * np.uint64(0x8CB92BA72F3D8DD7)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
        bits ^= bits >> np.uint64(31)
    numbers: NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


class Draw(Protocol):
    """Draws random numbers for the images of a batch: whole numbers that depend only on the image and the seed."""

    def draw(self, positions: NDArray[np.int64], keys: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Return int32 [B, ...] for the images at these positions in the listing with these keys, int64 [B] each."""


@dataclass(frozen=True)
class Pairing:
    """Pairings of the positions p of an image's maps: p is paired with (offset + p * stride) modulo their number.

    There are enough pairings for 128 pairs in a map of `positions` positions, but at least one; none for maps of one
    position. In a pairing every position is in two pairs, so that maps which are 0 except in a few places are covered.
    """

    positions: int

    @property
    def count(self) -> int:
        """Return the number of pairings of an image."""
        return -(-_PAIRS // self.positions) if self.positions > 1 else 0

    def draw(self, positions: NDArray[np.int64], keys: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Return (offset, stride) of every pairing, int32 [B, pairings, 2], from the images' keys.

        The stride has no common divisor with the number of positions, so a pairing is a permutation.
        """
        draws = uniform(seed, keys[:, None], np.arange(2 * self.count, dtype=np.uint64)[None, :])
        strides = _strides(self.positions)
        chosen, offset = np.split(draws, 2, axis=1)
        offset = (offset * self.positions).astype(np.int32)
        return np.stack([offset, strides[(chosen * len(strides)).astype(np.int64)]], 2).astype(np.int32)


@dataclass(frozen=True)
class Sampling:
    """Random positions of an image's maps, one from each of several equal parts of the map.

    positions:  the number of positions of a map
    rate:       how many of them are drawn on average, which need not be a whole number; at most `positions`

    Since every part of the map gives one position, the error is at most that of simple random sampling.
    """

    positions: int
    rate: float

    @property
    def per_image(self) -> int:
        """Return the largest number of positions that are drawn for an image."""
        return math.ceil(self.rate)

    @property
    def is_everything(self) -> bool:
        """Return whether all positions are taken."""
        return self.rate == self.positions

    def draw(self, positions: NDArray[np.int64], keys: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Return the sampled positions, int32 [B, per_image], from the images' positions in the listing.

        The last one is randomly -1 in some images, which have one position less, so that the mean is right.
        """
        if self.is_everything:
            return np.broadcast_to(np.arange(self.positions, dtype=np.int32), (len(positions), self.positions))
        whole = math.floor(self.rate)
        more = uniform(seed, positions[:, None], np.zeros((1, 1), np.uint64)) < self.rate - whole
        part = np.arange(self.per_image)
        jitter = uniform(seed, positions[:, None], (part + 1).astype(np.uint64)[None, :])
        parts = np.maximum(whole + more, 1)
        drawn = ((part + jitter) * (self.positions / parts)).astype(np.int32)
        return np.where(part < whole + more, np.minimum(drawn, self.positions - 1), np.int32(-1))


@cache
def _strides(positions: int) -> NDArray[np.int64]:
    """Return the numbers from 1 to `positions` without a common divisor with it."""
    numbers = np.arange(1, positions + 1)
    strides: NDArray[np.int64] = numbers[np.gcd(numbers, positions) == 1]
    return strides
