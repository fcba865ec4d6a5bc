"""Values of more than 8 bits become 0 to 255. Imports Pillow and numpy only: worker processes start fast.

One rule holds for all images of a set that are of a kind (16-bit PNG, float TIFF, ...), so that they stay comparable:
see `find_scales` in `deep_sets`. An image alone is scaled by its own values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from shapebias.precompute.images.geometry import ImageError

_BITS = (8, 10, 12, 14, 16)  # of sensors, and of what they are kept in
_SWAPPED = {"B": "L", "L": "B", "N": "B"}  # byte orders in which Pillow takes the other byte of two
_FLOAT_ENDS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))  # what floats are usually from and to
_PLAIN_ABOVE = 0.1  # of such a range, the part that values must fill for it to be meant

Values = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """How values become 0 to 255: from `low` and `high`; by `shift` bits, where they are integers of so many bits.

    `strict`: values outside cannot be, as the range is what the numbers' kind says; otherwise they are clipped.
    """

    low: float
    high: float
    shift: int | None = None
    strict: bool = True

    def __call__(self, values: Values) -> Pixels:
        """Return values as uint8; infinities become the ends, NaN black. Raises `ImageError` where a value is outside
        of a strict range."""
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if self.strict and finite.size and not self.low <= float(finite.min()) <= float(finite.max()) <= self.high:
            raise ImageError(f"has values outside its set's range, {self.text}")
        if self.shift is not None:
            return (values >> self.shift).astype(np.uint8)
        clipped = np.clip(values, self.low, self.high).astype(np.float64)
        scaled = (clipped - self.low) * (255 / max(self.high - self.low, 1e-300))
        return np.rint(np.nan_to_num(scaled)).astype(np.uint8)

    @property
    def text(self) -> str:
        """The range in words."""
        return f"{self.low:,.6g} to {self.high:,.6g}"


def choose_scale(low: float, high: float, *, is_float: bool) -> Scale:
    """Return the scale for values from `low` to `high`.

    Integers from 0 on are of the least usual number of bits that holds them (8, 10, 12, 14, 16); floats are from 0 to
    1, -1 to 1, 0 to 255 or 0 to 65535 where they lie in there and fill more than a tenth; others are stretched.
    """
    if not is_float and low >= 0 and high < 1 << _BITS[-1]:
        bits = next(bits for bits in _BITS if high < 1 << bits)
        return Scale(0, (1 << bits) - 1, bits - 8)
    if is_float:
        for least, most in _FLOAT_ENDS:
            if least <= low and high <= most and (most <= 1 or high > _PLAIN_ABOVE * most):
                return Scale(least, most)
    return Scale(low, high, strict=False)


@dataclass(frozen=True)
class Depth:
    """How an image file holds values of more than 8 bits. `kind` is such as `16-bit PNG`; `raw` is what Pillow calls
    the layout of colours of 16 bits, None for grey."""

    kind: str
    raw: str | None

    @property
    def is_float(self) -> bool:
        """Whether the values are floats."""
        return self.kind.startswith("float")


def depth_of(image: Image.Image) -> Depth | None:
    """Return how an image that is open, but not loaded, holds its values; None where they are of 8 bits or fewer.

    Raises `ImageError` where Pillow would misread them.
    """
    layout = _layout(image)
    if image.mode == "F":
        return Depth(f"float {image.format}", None)
    if image.mode.startswith("I;16") or (image.mode == "I" and ";16" in layout):
        return Depth(f"{'signed ' if layout.endswith('S') else ''}16-bit {image.format}", None)
    if image.mode == "I":
        return Depth(f"{'16-bit' if image.format == 'PPM' else '32-bit'} {image.format}", None)
    if image.mode in ("RGB", "RGBA") and layout.startswith(f"{image.mode};16"):
        return Depth(f"16-bit {image.format}", layout)
    if image.format == "TIFF" and layout == "R" and max(image.tag_v2.get(258, (8,))) > 8:  # type: ignore[attr-defined]
        raise ImageError("16-bit TIFF in planes: convert it with tifffile")
    return None


def read_values(image: Image.Image, depth: Depth, file: BinaryIO) -> Values:
    """Return the values of a loaded image, [H, W] or [H, W, channels]; `file` is what it was opened from."""
    values = np.asarray(image)
    if depth.raw is None:
        return values
    file.seek(0)
    again: Any = Image.open(file, formats=(str(image.format),))
    swapped = depth.raw[:-1] + _SWAPPED[depth.raw[-1]]  # Pillow keeps one byte of two: now the low one
    again.tile = [
        tile._replace(args=swapped if isinstance(tile.args, str) else (swapped, *tile.args[1:])) for tile in again.tile
    ]
    again.load()
    deep: Values = values.astype(np.uint16) << 8 | np.asarray(again)
    return deep


def range_of(values: Values) -> tuple[float, float]:
    """Return the least and the largest finite value; 0 and 1 where there is none."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def to_8_bits(image: Image.Image, depth: Depth, file: BinaryIO, scales: Mapping[str, Scale]) -> Image.Image:
    """Return a loaded image with its values as 0 to 255, by the scale of its kind, or else by its own range."""
    scale = scales.get(depth.kind)
    colours = depth.raw is not None
    if colours and (scale.shift == 8 if scale is not None else np.asarray(image)[..., :3].max() >= 64):
        return image  # of 16 bits in use: Pillow has kept the high ones
    values = read_values(image, depth, file)
    if scale is None:
        scale = choose_scale(*range_of(values[..., :3] if colours else values), is_float=depth.is_float)
    if image.mode == "RGBA":  # opacity may fill its range where colours do not
        opacity = np.minimum(values[..., 3:] >> (scale.shift or 0), 255).astype(np.uint8)
        return Image.fromarray(np.concatenate([scale(values[..., :3]), opacity], 2))
    return Image.fromarray(scale(values))


def _layout(image: Image.Image) -> str:
    """Return what Pillow calls the layout of an image's values in its file; nothing where it does not say."""
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""
