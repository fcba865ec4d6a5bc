"""Converts values of more than 8 bits to 0 to 255. Imports Pillow and numpy only, so that worker processes start fast.

All images of a kind (16-bit PNG, float TIFF, ...) in a set get the same scale, so that they stay comparable: see
`with_scales` in `deep_sets`. A single image is scaled by its own values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from shapebias.precompute.images.geometry import ImageError

_BITS = (8, 10, 12, 14, 16)  # usual numbers of bits of sensors and files
_SWAPPED = {"B": "L", "L": "B", "N": "B"}  # byte orders in which Pillow takes the wrong byte of two
_FLOAT_ENDS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))  # usual ranges of floats
_PLAIN_ABOVE = 0.1  # values must fill at least this fraction of such a range

Values = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """A conversion of the values of an image to 0 to 255, from the range `low` to `high`.

    shift:   where it is done by shifting integers, the number of bits to the right; None: by multiplication
    strict:  whether values outside the range are errors; otherwise they are clipped
    """

    low: float
    high: float
    shift: int | None = None
    strict: bool = True

    def __call__(self, values: Values) -> Pixels:
        """Return values as uint8 of the same shape; infinite values become 0 and 255, NaN becomes 0.

        Raises `ImageError` for a finite value outside a strict range.

        >>> Scale(0.0, 1.0)(np.array([[0.0, 0.5, 1.0]]))
        array([[  0, 128, 255]], dtype=uint8)
        """
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
        """The range as text, such as `0 to 4,095`."""
        return f"{self.low:,.6g} to {self.high:,.6g}"


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of one or several images.

    `declared` says whether the images' files state the range; otherwise it is that of their values.
    """

    low: float
    high: float
    declared: bool = False

    def __or__(self, other: "Range") -> "Range":
        """Return the smallest range that holds both; it is declared if both are."""
        return Range(min(self.low, other.low), max(self.high, other.high), self.declared and other.declared)


def choose_scale(values: Range, *, is_float: bool) -> Scale:
    """Return the scale for values in a range; a range that files declare is used as it is.

    Otherwise, non-negative integers get the smallest usual number of bits that holds them (8, 10, 12, 14, 16). Floats
    get the first of the ranges 0 to 1, -1 to 1, 0 to 255 and 0 to 65535 that they lie in; for the last two their
    maximum must exceed a tenth of the range. For any other values `low` becomes 0, `high` becomes 255, and what is
    outside is clipped.
    """
    low, high = values.low, values.high
    bits = next((bits for bits in _BITS if high < 1 << bits), None)
    if values.declared and (is_float or low != 0 or bits is None or high != (1 << bits) - 1):
        return Scale(low, high)
    if not is_float and low >= 0 and bits is not None:
        return Scale(0, (1 << bits) - 1, bits - 8)
    if is_float:
        for least, most in _FLOAT_ENDS:
            if least <= low and high <= most and (most <= 1 or high > _PLAIN_ABOVE * most):
                return Scale(least, most)
    return Scale(low, high, strict=False)


@dataclass(frozen=True)
class Depth:
    """The way in which an image file stores values of more than 8 bits.

    kind:      the number of bits and the format, such as `16-bit PNG` or `float TIFF`
    raw:       Pillow's name for the layout of 16-bit colours; None for grey
    declared:  the range that the file says its values have; None where it says none
    """

    kind: str
    raw: str | None = None
    declared: Range | None = None

    @property
    def is_float(self) -> bool:
        """Whether the values are floats."""
        return self.kind.startswith("float")


def depth_of(image: Image.Image) -> Depth | None:
    """Return how an image, open but not loaded, stores its values; None where they have 8 bits or fewer.

    Raises `ImageError` for a TIFF that keeps 16-bit colours in planes, which Pillow would misread.
    """
    layout = _layout(image)
    if image.mode == "F":
        return Depth(f"float {image.format}", declared=_declared(image))
    if image.mode.startswith("I;16") or (image.mode == "I" and (";16" in layout or image.format == "PPM")):
        signed = "signed " if layout.endswith("S") else ""
        return Depth(f"{signed}16-bit {image.format}", declared=_declared(image))
    if image.mode == "I":
        return Depth(f"32-bit {image.format}", declared=_declared(image))
    if image.mode in ("RGB", "RGBA") and layout.startswith(f"{image.mode};16"):
        return Depth(f"16-bit {image.format}", layout, _declared(image))
    if image.format == "TIFF" and layout == "R" and max(image.tag_v2.get(258, (8,))) > 8:  # type: ignore[attr-defined]
        raise ImageError("16-bit TIFF in planes: convert it with tifffile")
    return None


def read_values(image: Image.Image, depth: Depth, file: BinaryIO) -> Values:
    """Return the values of a loaded image with all their bits, [H, W] or, uint16, [H, W, 3 or 4 channels].

    `file` is the image's open file: of 16-bit colours, of which Pillow keeps 8 bits, it is read again.
    """
    values = np.asarray(image)
    if depth.raw is None:
        return values
    file.seek(0)
    again: Any = Image.open(file, formats=(str(image.format),))
    swapped = depth.raw[:-1] + _SWAPPED[depth.raw[-1]]  # Pillow keeps one byte of two: this time the low one
    again.tile = [
        tile._replace(args=swapped if isinstance(tile.args, str) else (swapped, *tile.args[1:])) for tile in again.tile
    ]
    again.load()
    deep: Values = values.astype(np.uint16) << 8 | np.asarray(again)
    return deep


def range_of(values: Values, depth: Depth) -> Range:
    """Return the range that a file declares, if it declares one and its values are within; else that of its values.

    Opacity and values that are not finite do not count. Where no value is finite, 0 to 1 stands for the values.
    """
    colours = values if depth.raw is None else values[..., :3]
    finite = colours[np.isfinite(colours)] if colours.dtype.kind == "f" else colours
    own = Range(float(finite.min()), float(finite.max())) if finite.size else Range(0, 1)
    declared = depth.declared
    return own if declared is None or own.low < declared.low or own.high > declared.high else declared


def to_8_bits(image: Image.Image, depth: Depth, file: BinaryIO, scales: Mapping[str, Scale]) -> Image.Image:
    """Return a loaded image with values of 8 bits, in mode L, RGB or RGBA.

    The scale is the one of its kind in `scales`, or else follows from its own range. `file` is the image's open file.
    Raises `ImageError` for a value outside a strict scale.
    """
    scale = scales.get(depth.kind)
    colours = depth.raw is not None
    if colours and (scale.shift == 8 if scale is not None else np.asarray(image)[..., :3].max() >= 64):
        return image  # all 16 bits are in use: Pillow has kept the high ones
    values = read_values(image, depth, file)
    if scale is None:
        scale = choose_scale(range_of(values, depth), is_float=depth.is_float)
    if image.mode == "RGBA":  # opacity may use its full range where colours do not
        opacity = np.minimum(values[..., 3:] >> (scale.shift or 0), 255).astype(np.uint8)
        return Image.fromarray(np.concatenate([scale(values[..., :3]), opacity], 2))
    return Image.fromarray(scale(values))


def _declared(image: Image.Image) -> Range | None:
    """Return the range that a file declares; None where it declares none.

    A TIFF declares it in the tags (S)MinSampleValue and (S)MaxSampleValue; a PPM by its largest value, which Pillow
    scales to 65535.
    """
    if image.format == "PPM":
        (tile,) = getattr(image, "tile", None) or (None,)
        return Range(0, 65535, True) if tile is not None and isinstance(tile[3], tuple) else None
    tags = getattr(image, "tag_v2", {})
    ends = [tags.get(signed, tags.get(plain)) for signed, plain in ((340, 280), (341, 281))]
    low, high = (end[0] if isinstance(end, tuple) else end for end in ends)
    if high is None or not float(low or 0) < float(high):
        return None
    return Range(float(low or 0), float(high), True)


def _layout(image: Image.Image) -> str:
    """Return Pillow's name for the layout of an image's values in its file; empty where it gives none."""
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""
