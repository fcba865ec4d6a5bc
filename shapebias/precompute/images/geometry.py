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
Size = tuple[int, int]  # width and height, px


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
        size = self._resized(image.size)
        left, top = self._corner(size)
        if size != image.size:
            return _resize_crop(image, size, (left, top), self.crop, self.interpolation)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def place(self, boxes: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.float64]:
        """Return where boxes [boxes, 4] (left, top, right, bottom, in px of an image of this width and height) are in
        the network's input, cut off at its borders: in px, those alone that are at least a pixel wide and high.

        Raises `ImageError` as a call does.
        """
        resized = self._resized(size)
        scale = np.divide(resized, size)
        placed = np.clip(boxes * np.tile(scale, 2) - np.tile(self._corner(resized), 2), 0, self.crop)
        kept: npt.NDArray[np.float64] = placed[(placed[:, 2:] - placed[:, :2] >= 1).all(1)]
        return kept

    def _resized(self, size: Size) -> Size:
        """Return width and height to which an image of a size is resized. Raises `ImageError`."""
        short, long = min(size), max(size)
        long = int(self.resize * long / short)
        if long > _MAX_SIDE:
            raise ImageError(f"too long and thin: {size[0]} x {size[1]} pixels")
        return (self.resize, long) if size[0] <= size[1] else (long, self.resize)

    def _corner(self, resized: Size) -> Size:
        """Return left and top of the crop in the resized image: negative where a side is shorter, rounded as
        torchvision rounds it."""
        left, top = (
            round((side - self.crop) / 2.0) if side >= self.crop else -((self.crop - side) // 2) for side in resized
        )
        return left, top

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
        size = self._resized(image.size)
        if image.size != size:
            image = image.resize(size, Image.Resampling[self.interpolation.upper()])
        return np.asarray(image)

    def _resized(self, size: Size) -> Size:
        return (self.crop, self.crop)

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
