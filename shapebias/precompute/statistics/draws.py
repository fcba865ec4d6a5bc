"""What is drawn at random about an image: the same numbers in any batch, from its key and a seed."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_PAIRS = 128  # of a map, at least


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
    """What is drawn for the images of a batch: whole numbers that follow from the image and the seed alone."""

    def draw(self, positions: NDArray[np.int64], keys: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Return int32 [B, ...] for the images at these positions in the listing, with these keys, int64 [B]."""


@dataclass(frozen=True)
class Pairing:
    """Ways to pair the positions p of an image's maps with one another: with (offset + p * stride) modulo their number.

    They are at least 128 pairs of each map of `positions` positions, at least one pairing; none for maps of one
    position. In a pairing every position is in two pairs: it misses nothing of maps that are 0 but in a few places.
    """

    positions: int

    @property
    def count(self) -> int:
        """Return how many pairings there are of an image."""
        return -(-_PAIRS // self.positions) if self.positions > 1 else 0

    def draw(self, positions: NDArray[np.int64], keys: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Return (offset, stride) of every pairing, int32 [B, pairings, 2], from the images' keys.

        The stride has no divisor in common with the number of positions: a pairing is a permutation.
        """
        draws = uniform(seed, keys[:, None], np.arange(2 * self.count, dtype=np.uint64)[None, :])
        strides = _strides(self.positions)
        chosen, offset = np.split(draws, 2, axis=1)
        offset = (offset * self.positions).astype(np.int32)
        return np.stack([offset, strides[(chosen * len(strides)).astype(np.int64)]], 2).astype(np.int32)


@dataclass(frozen=True)
class Sampling:
    """Positions of an image's maps, `rate` of `positions` on average: one from each of as many equal parts of the map.

    Stratified, so the error is at most that of simple random sampling.
    """

    positions: int
    rate: float

    @property
    def per_image(self) -> int:
        """Return how many positions of an image are drawn, at most."""
        return math.ceil(self.rate)

    @property
    def is_everything(self) -> bool:
        """Return whether every position is taken."""
        return self.rate == self.positions

    def draw(self, positions: NDArray[np.int64], keys: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Return the sampled positions, int32 [B, per_image], from the images' positions in the listing.

        The last is -1 where an image has one less, by chance, so that the mean is right.
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
    """Return the numbers from 1 to `positions` that have no divisor in common with it."""
    numbers = np.arange(1, positions + 1)
    strides: NDArray[np.int64] = numbers[np.gcd(numbers, positions) == 1]
    return strides
