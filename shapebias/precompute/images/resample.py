"""Pillow's resizing, computed only for the part of an image that is kept: the same bytes in about half of the time.

Pillow resizes a whole image, of which only a central crop is kept, and copies it out of its own layout. Here only the
crop is computed, from the pixels that it depends on, by compiled loops with the same arithmetic: weights in double,
rounded to 22 bits; first along rows, rounded to 8 bits, then along columns (for images more than twice as high as wide
Pillow uses the other order). Source: libImaging/Resample.c of Pillow.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS = 22
_ROUND = np.int32(1 << (_BITS - 1))
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}

FILTERS = tuple(_SUPPORT)


@dataclass(frozen=True)
class PixelWeights:
    """The weights of the input pixels in some neighbouring output pixels, along one side of an image.

    Output i is the sum over k < count[i] of weight[i, k] * input[start[i] + k].

    start, count:  int64 [outputs], the first input pixel of an output, and how many there are
    weight:        int32 [outputs, most], where 1 << 22 stands for 1; 0 from count[i] on
    """

    start: NDArray[np.int64]
    count: NDArray[np.int64]
    weight: NDArray[np.int32]

    @property
    def first(self) -> int:
        """The index of the first input pixel that is used."""
        return int(self.start[0])

    @property
    def stop(self) -> int:
        """The index after that of the last input pixel that is used."""
        return int((self.start + self.count).max())


def resize_crop(
    image: Image.Image, size: tuple[int, int], corner: tuple[int, int], crop: int, interpolation: str
) -> NDArray[np.uint8]:
    """Return pixels uint8 [crop, crop, 3] of an RGB image that is resized to `size` and then cropped.

    `size` is (width, height); `corner` is left and top of the crop, which must lie within the resized image. The
    interpolation is one of `FILTERS`.
    """
    across = _weights(image.width, size[0], corner[0], crop, interpolation)
    down = _weights(image.height, size[1], corner[1], crop, interpolation)
    needed = np.asarray(image.crop((across.first, down.first, across.stop, down.stop)))
    between = np.empty((len(needed), 3 * crop), np.uint8)
    _mix_columns(needed, across.weight, across.start - across.first, across.count, between)
    pixels = np.empty((crop, 3 * crop), np.uint8)
    _mix_rows(between, down.weight, down.start - down.first, down.count, pixels)
    return pixels.reshape(crop, crop, 3)


@lru_cache(256)
def _weights(side: int, resized: int, first: int, outputs: int, interpolation: str) -> PixelWeights:
    """Return the weights for the output pixels from `first` to `first` + `outputs` - 1 of a side.

    The side has `side` px and is resized to `resized` px.
    """
    scale = side / resized
    stretch = max(scale, 1.0)  # scale of the filter: a smaller image is an average
    reach = _SUPPORT[interpolation] * stretch
    centers = (np.arange(first, first + outputs) + 0.5) * scale
    start = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    count = np.minimum((centers + reach + 0.5).astype(np.int64), side) - start
    weight = np.zeros((outputs, math.ceil(reach) * 2 + 1))
    for row, (center, begin, length) in enumerate(zip(centers, start, count, strict=True)):
        values = _filter((np.arange(length) + begin - center + 0.5) * (1 / stretch), interpolation)
        weight[row, :length] = values * (1 / sum(values))
    whole = np.where(weight < 0, -0.5, 0.5) + weight * (1 << _BITS)
    return PixelWeights(start, count, whole.astype(np.int32))


def _filter(x: NDArray[np.float64], interpolation: str) -> NDArray[np.float64]:
    """Return a filter's values, float64, at the signed distances `x` from its centre.

    Distances are in pixels of the smaller of the two images.
    """
    x = np.abs(x)
    if interpolation == "bilinear":
        return np.maximum(1 - x, 0.0)
    if interpolation == "bicubic":  # a = -0.5
        near, far = (1.5 * x - 2.5) * x * x + 1, ((x - 5) * x + 8) * x * -0.5 + 2
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


@numba.njit(nogil=True, cache=True)
def _mix_columns(pixels: Any, weight: Any, start: Any, count: Any, mixed: Any) -> None:
    """Fill `mixed`, uint8 [H, 3 * outputs], with the weighted sums along the rows of `pixels`, uint8 [H, W, 3].

    `weight`, `start` and `count` are as in `PixelWeights`.
    """
    for y in range(pixels.shape[0]):
        line = pixels[y]
        for x in range(weight.shape[0]):
            red, green, blue, begin = _ROUND, _ROUND, _ROUND, start[x]
            for k in range(count[x]):
                share = weight[x, k]
                red += np.int32(line[begin + k, 0]) * share
                green += np.int32(line[begin + k, 1]) * share
                blue += np.int32(line[begin + k, 2]) * share
            mixed[y, 3 * x] = min(max(red >> _BITS, 0), 255)
            mixed[y, 3 * x + 1] = min(max(green >> _BITS, 0), 255)
            mixed[y, 3 * x + 2] = min(max(blue >> _BITS, 0), 255)


@numba.njit(nogil=True, cache=True)
def _mix_rows(pixels: Any, weight: Any, start: Any, count: Any, mixed: Any) -> None:
    """Fill `mixed`, uint8 [outputs, N], with the weighted sums along the columns of `pixels`, uint8 [H, N].

    `weight`, `start` and `count` are as in `PixelWeights`.
    """
    total = np.empty(pixels.shape[1], np.int32)
    for y in range(weight.shape[0]):
        total[:] = _ROUND
        for k in range(count[y]):
            share, line = weight[y, k], pixels[start[y] + k]
            for i in range(len(total)):
                total[i] += np.int32(line[i]) * share
        for i in range(len(total)):
            mixed[y, i] = min(max(total[i] >> _BITS, 0), 255)
