"""The geometry of a network's input: how an image of any size is resized and cropped."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import (  # the plugins by name: else Pillow looks for a format's plugin by importing all of them
    Image,
)

_MAX_SIDE = 40_000


Pixels = npt.NDArray[np.uint8]


class ImageError(Exception):
    """An image cannot be used; its text is the reason on one line, without the file's name or anything read from it."""


@dataclass(frozen=True)
class Geometry:
    """How an image is brought to a network's input size: short side to `resize`, then the central `crop` x `crop`.

    Gives the bytes of torchvision's `Resize(resize, interpolation)` and `CenterCrop(crop)` on a PIL image. Raises
    `ValueError` if a size is not positive or the interpolation is unknown.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"  # or bicubic, nearest, lanczos

    def __post_init__(self) -> None:
        if min(self.resize, self.crop) < 1:
            raise ValueError(f"resize and crop must be at least 1, not {self.resize} and {self.crop}")
        if self.interpolation not in ("bilinear", "bicubic", "nearest", "lanczos"):
            raise ValueError(f"interpolation must be bilinear, bicubic, nearest or lanczos, not {self.interpolation!r}")

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the pixels of an RGB `image`, uint8 [crop, crop, 3], read-only; black where the image is smaller than
        that. (An image with one channel gives uint8 [crop, crop].)

        Raises `ImageError` if the image is so long and thin that its long side would exceed 40,000 pixels.
        """
        short, long = min(image.size), max(image.size)
        long = int(self.resize * long / short)
        if long > _MAX_SIDE:
            raise ImageError(f"too long and thin: {image.width} x {image.height} pixels")
        size = (self.resize, long) if image.width <= image.height else (long, self.resize)
        left, top = (self._offset(side) for side in size)
        if size != image.size:
            return _resize_crop(image, size, (left, top), self.crop, self.interpolation)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def _offset(self, side: int) -> int:
        """Return where the crop starts on a side: negative where the side is shorter, rounded as torchvision rounds
        it."""
        if side < self.crop:
            return -((self.crop - side) // 2)
        return round((side - self.crop) / 2.0)

    @property
    def key(self) -> str:
        """A name for the geometry, such as `resize256-crop224-bilinear`: equal geometries have equal keys."""
        return f"resize{self.resize}-crop{self.crop}-{self.interpolation}"

    @property
    def whole(self) -> "WholeImage":
        """The geometry of the same input that shows whole images."""
        return WholeImage(self.crop, self.crop, self.interpolation)


class WholeImage(Geometry):
    """How an image is brought to a network's input size with nothing cut off: pixel for pixel where it has that size,
    else resized to `crop` x `crop`, whatever its proportions."""

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the pixels of an RGB `image`, uint8 [crop, crop, 3], read-only."""
        size = (self.crop, self.crop)
        if image.size != size:
            image = image.resize(size, Image.Resampling[self.interpolation.upper()])
        return np.asarray(image)

    @property
    def key(self) -> str:
        """A name for the geometry, such as `whole224-bilinear`."""
        return f"whole{self.crop}-{self.interpolation}"


_ResizeCrop = Callable[[Image.Image, tuple[int, int], tuple[int, int], int, str], Pixels]


class _Resizing:
    """Resizes images and crops them: by Pillow or, once there are many, by `resample`, which gives the same bytes.

    Loading its compiled loops takes a process as long as resizing some hundred images. They are used only after they
    gave the bytes of the installed Pillow for one image.
    """

    _MANY = 500

    def __init__(self) -> None:
        self._images = 0
        self._compiled: _ResizeCrop | None = None

    def __call__(
        self, image: Image.Image, size: tuple[int, int], corner: tuple[int, int], crop: int, interpolation: str
    ) -> Pixels:
        """Return the pixels uint8 [crop, crop, 3] of an image that is resized to `size` (width, height), from `corner`
        (left, top) on; of one with a single channel uint8 [crop, crop]."""
        self._images += 1
        fits = image.mode == "RGB" and crop <= min(size) and image.height <= 2 * image.width
        if not fits or interpolation == "nearest" or self._images < self._MANY:
            return _by_pillow(image, size, corner, crop, interpolation)
        if self._compiled is None:
            self._compiled = _checked(image, size, corner, crop, interpolation)
        return self._compiled(image, size, corner, crop, interpolation)


def _by_pillow(
    image: Image.Image, size: tuple[int, int], corner: tuple[int, int], crop: int, interpolation: str
) -> Pixels:
    left, top = corner
    resized = image.resize(size, Image.Resampling[interpolation.upper()])
    return np.asarray(resized.crop((left, top, left + crop, top + crop)))


def _checked(
    image: Image.Image, size: tuple[int, int], corner: tuple[int, int], crop: int, interpolation: str
) -> _ResizeCrop:
    """Return the compiled way to resize if it gives what Pillow gives for an image, else Pillow's."""
    from shapebias.precompute.images.resample import resize_crop

    arguments = (image, size, corner, crop, interpolation)
    return resize_crop if np.array_equal(resize_crop(*arguments), _by_pillow(*arguments)) else _by_pillow


_resize_crop = _Resizing()
