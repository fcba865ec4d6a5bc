"""The geometry of a network's input: how an image of any size is resized and cropped."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import (  # imported by name, since Pillow would otherwise import all plugins to find one
    Image,
)

_MAX_SIDE = 40_000


Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]  # width and height, px


class ImageError(Exception):
    """An image cannot be used. The text is the reason on one line, without the file's name or anything read from it."""


@dataclass(frozen=True)
class Geometry:
    """Fits an image to a network's input: resizes the short side to `resize` px, then crops the middle `crop` x `crop`.

    The result has the same bytes as torchvision's `Resize(resize, interpolation)` and `CenterCrop(crop)` for a PIL
    image. Raises `ValueError` if a size is not positive or the interpolation is unknown.

    >>> geometry = Geometry(256, 224)
    >>> geometry.key, geometry(Image.new("RGB", (640, 480))).shape
    ('resize256-crop224-bilinear', (224, 224, 3))
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
        """Return the pixels of an RGB `image`, uint8 [crop, crop, 3], black where the resized image is smaller.

        An image with one channel gives uint8 [crop, crop]. The array may be read-only. Raises `ImageError` if the
        resized image's long side would exceed 40,000 pixels.
        """
        size = self._resized(image.size)
        left, top = self._corner(size)
        if size != image.size:
            return _resize_crop(image, size, (left, top), self.crop, self.interpolation)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def transform_boxes(self, boxes: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.float64]:
        """Return boxes of an image in px of the network's input, float64 [kept boxes, 4], cut off at its borders.

        boxes:  float64 [boxes, 4] (left, top, right, bottom), in px of the image
        size:   the image's width and height

        Boxes that are then less than a pixel wide or high are dropped. Raises `ImageError` where the resized image
        would be too large.
        """
        resized = self._resized(size)
        scale = np.divide(resized, size)
        placed = np.clip(boxes * np.tile(scale, 2) - np.tile(self._corner(resized), 2), 0, self.crop)
        kept: npt.NDArray[np.float64] = placed[(placed[:, 2:] - placed[:, :2] >= 1).all(1)]
        return kept

    def placement(self, size: Size) -> tuple[Size, Size]:
        """Return to which width and height an image of a size is resized, and left and top of the crop in that; they
        are negative where a side is shorter.

        Raises `ImageError` as a call does.
        """
        resized = self._resized(size)
        return resized, self._corner(resized)

    def _resized(self, size: Size) -> Size:
        """Return the width and height to which an image of this size is resized.

        Raises `ImageError` where the long side would exceed 40,000 pixels.
        """
        short, long = min(size), max(size)
        long = int(self.resize * long / short)
        if long > _MAX_SIDE:
            raise ImageError(f"too long and thin: {size[0]} x {size[1]} pixels")
        return (self.resize, long) if size[0] <= size[1] else (long, self.resize)

    def _corner(self, resized: Size) -> Size:
        """Return left and top of the crop in the resized image, rounded as in torchvision.

        They are negative where the image's side is shorter than the crop.
        """
        left, top = (
            round((side - self.crop) / 2.0) if side >= self.crop else -((self.crop - side) // 2) for side in resized
        )
        return left, top

    @property
    def key(self) -> str:
        """A name for the geometry, such as `resize256-crop224-bilinear`; one name prepares images in one way."""
        return f"resize{self.resize}-crop{self.crop}-{self.interpolation}"

    @property
    def whole(self) -> "WholeImage":
        """The geometry with the same input size and interpolation that shows images whole."""
        return WholeImage(self.crop, self.crop, self.interpolation)


class WholeImage(Geometry):
    """Fits an image to a network's input without cutting anything off.

    An image of the input's size is unchanged; others are resized to `crop` x `crop`, whatever their proportions.
    """

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
    """Resizes and crops images: with Pillow or, from the 500th image on, with `resample`, which gives the same bytes.

    Loading the compiled loops of `resample` takes a process as long as resizing some hundred images. They are used only
    after they gave the same bytes as the installed Pillow for one image.
    """

    _MANY = 500

    def __init__(self) -> None:
        self._images = 0
        self._compiled: _ResizeCrop | None = None

    def __call__(
        self, image: Image.Image, size: tuple[int, int], corner: tuple[int, int], crop: int, interpolation: str
    ) -> Pixels:
        """Return pixels uint8 [crop, crop, 3] of an image that is resized to `size` and then cropped.

        `size` is (width, height); `corner` is left and top of the crop in the resized image. An image with a single
        channel gives uint8 [crop, crop].
        """
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
    """Return the compiled way to resize if it gives the same bytes as Pillow for an image, else Pillow's."""
    from shapebias.precompute.images.resample import resize_crop

    arguments = (image, size, corner, crop, interpolation)
    return resize_crop if np.array_equal(resize_crop(*arguments), _by_pillow(*arguments)) else _by_pillow


_resize_crop = _Resizing()
