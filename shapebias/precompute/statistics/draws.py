"""What is drawn at random about an image: the same numbers in any batch, from its key and a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Self

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


@dataclass(frozen=True)
class Pairings:
    """Ways to pair the positions p of an image's maps with one another: with (offset + p * stride) modulo their number.

    stride, offset:  int64 [images, pairings]; stride has no divisor in common with the number of positions
    """

    stride: NDArray[np.int64]
    offset: NDArray[np.int64]

    @classmethod
    def none(cls, images: int) -> Self:
        """Return no pairing of any of so many images."""
        return cls(*np.zeros((2, images, 0), np.int64))

    @classmethod
    def draw(cls, keys: NDArray[np.int64], positions: int, seed: int) -> Self:
        """Return pairings of maps with so many positions: at least 128 pairs a map, at least one pairing.

        keys int64 [images]: what is drawn for an image follows from its key and the seed. In a pairing every
        position is in two pairs: it misses nothing of maps that are 0 but in a few places.
        """
        numbers = np.arange(2 * -(-_PAIRS // positions), dtype=np.uint64)[None, :]
        draws = uniform(seed, keys[:, None], numbers)
        strides = _strides(positions)
        chosen, offset = np.split(draws, 2, axis=1)
        return cls(strides[(chosen * len(strides)).astype(np.int64)], (offset * positions).astype(np.int64))

    def partners(self, positions: int) -> Iterator[NDArray[np.int64]]:
        """Yield for each pairing the partner of every position of every image, int64 [images, positions], as indices
        into the positions of all images, one image after the other."""
        image = np.arange(len(self.offset))[:, None] * positions
        for stride, offset in zip(self.stride.T[..., None], self.offset.T[..., None], strict=True):
            yield image + (offset + np.arange(positions) * stride) % positions


@cache
def _strides(positions: int) -> NDArray[np.int64]:
    """Return the numbers from 1 to `positions` that have no divisor in common with it."""
    numbers = np.arange(1, positions + 1)
    strides: NDArray[np.int64] = numbers[np.gcd(numbers, positions) == 1]
    return strides
