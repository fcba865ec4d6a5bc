"""timm's other ways to fit an image to a network's input: squashed to a square, or whole within a border."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from shapebias.precompute.images.geometry import Geometry, Size


@dataclass(frozen=True)
class Squashed(Geometry):
    """Resizes both sides to `resize` px, whatever the image's proportions, then crops the central `crop` x `crop`."""

    mode: str = field(default="squash", init=False)

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the pixels of an RGB `image`, uint8 [crop, crop, 3], read-only."""
        size = self._resized(image.size)
        if image.size != size:
            image = image.resize(size, Image.Resampling[self.interpolation.upper()])
        return super().__call__(image)

    def _resized(self, size: Size) -> Size:
        return (self.resize, self.resize)

    @property
    def key(self) -> str:
        """A name for the geometry, such as `squash256-crop224-bilinear`."""
        return f"squash{self.resize}-crop{self.crop}-{self.interpolation}"


@dataclass(frozen=True)
class Bordered(Geometry):
    """Resizes the long side to `resize` px, then crops the central `crop` x `crop`.

    Where the resized image is smaller than the crop, a border of the colour `fill` (red, green, blue; 0 to 255)
    surrounds it.
    """

    mode: str = field(default="border", init=False)
    fill: tuple[int, int, int] = (0, 0, 0)

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the pixels of an RGB `image`, uint8 [crop, crop, 3], read-only."""
        size = self._resized(image.size)
        if size != image.size:
            image = image.resize(size, Image.Resampling[self.interpolation.upper()])
        width, height = (max(side, self.crop) for side in image.size)
        canvas = Image.new(image.mode, (width, height), self.fill if image.mode == "RGB" else 0)
        canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        left, top = (round((side - self.crop) / 2.0) for side in canvas.size)
        return np.asarray(canvas.crop((left, top, left + self.crop, top + self.crop)))

    def _resized(self, size: Size) -> Size:
        ratio = max(size) / self.resize
        width, height = (max(1, round(side / ratio)) for side in size)
        return width, height

    @property
    def key(self) -> str:
        """A name for the geometry, such as `border256-crop224-bilinear-124-116-104`."""
        colour = "-".join(map(str, self.fill))
        return f"border{self.resize}-crop{self.crop}-{self.interpolation}-{colour}"


CROP_MODES: dict[str, type[Geometry]] = {"center": Geometry, "squash": Squashed, "border": Bordered}
