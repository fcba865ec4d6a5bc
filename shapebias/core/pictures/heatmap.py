"""Attribution maps as heat over the image that they explain."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_CAP = 0.99  # quantile of |values| at which colours end, as the authors of SmoothGrad do (arXiv 1706.03825)
_OPAQUE = 0.85  # of the strongest colour over the grey image
# Vermillion and blue are told apart by the colour-blind (Okabe & Ito 2008); float32 [3], 0 to 255.
_FOR, _AGAINST = np.array((213, 94, 0), np.float32), np.array((0, 114, 178), np.float32)
_RED, _YELLOW = np.array((230, 0, 0), np.float32), np.array((255, 240, 0), np.float32)
_DIMMED = 0.5  # brightness of an image without evidence
Values = NDArray[np.floating[Any]]


def heat_scale(maps: Iterable[NDArray[np.float32]], signed: bool) -> float:
    """Return the value at which colours end, for maps of a method that are shown on one scale: the largest of the maps'
    0.99 quantiles of |values|, and of maps that are 0 nearly everywhere their largest |value|; 0 where all are
    constant. Values of maps without a sign count from the map's smallest: see `heat_tile`."""
    return max((_cap(np.abs(_heat(values, signed))) for values in maps if not is_constant(values)), default=0.0)


def is_constant(values: NDArray[np.float32]) -> bool:
    """Return whether a map has one value everywhere, so that it is no evidence."""
    return bool((values == values.flat[0]).all())


def _cap(sizes: NDArray[np.float32]) -> float:
    return float(np.quantile(sizes, _CAP)) or float(sizes.max())


def _heat(values: NDArray[np.float32], signed: bool) -> NDArray[np.float32]:
    return values if signed else values - values.min()


def heat_tile(photo: Image.Image, values: NDArray[np.float32] | None, *, scale: float, signed: bool) -> Image.Image:
    """Return a map, float32 [h, w], upsampled bilinearly over the grey photo: RGB, as large as the photo.

    Colours end at `scale`: give one to tiles that are to be compared (`heat_scale`). Signed maps are vermillion where
    they speak for the output that is explained and blue where they speak against it. Others begin at their smallest
    value, since RISE's are the chance of a random mask everywhere, and go from transparent over red to yellow. A
    constant map says `no evidence`; None, `not measured`.
    """
    grey = photo.convert("L")
    if values is None or is_constant(values) or not scale > 0:
        return _without_heat(grey, "not measured" if values is None else "no evidence")
    upsampled = Image.fromarray(_heat(values, signed)).resize(photo.size, Image.Resampling.BILINEAR)
    heat = np.clip(np.asarray(upsampled) / scale, -1.0, 1.0)[..., None]
    colour, opacity = _diverging(heat) if signed else _rising(heat)
    blended = np.asarray(grey, np.float32)[..., None] * (1 - opacity) + colour * opacity
    return Image.fromarray(np.rint(blended).astype(np.uint8))


def _diverging(heat: Values) -> tuple[Values, Values]:
    """Return colour [h, w, 3] and opacity [h, w, 1] of values [h, w, 1] in [-1, 1]."""
    return np.where(heat > 0, _FOR, _AGAINST), np.abs(heat) * _OPAQUE


def _rising(heat: Values) -> tuple[Values, Values]:
    """Return colour and opacity of values in [0, 1]: up to the middle red fades in, from there it turns yellow."""
    turned = np.clip(2 * heat - 1, 0, 1)
    return _RED * (1 - turned) + _YELLOW * turned, np.clip(2 * heat, 0, 1) * _OPAQUE


def _without_heat(grey: Image.Image, text: str) -> Image.Image:
    """Return the grey image, dimmed, with a text in its middle."""
    dimmed = grey.point([round(level * _DIMMED) for level in range(256)]).convert("RGB")
    draw, (width, height) = ImageDraw.Draw(dimmed), dimmed.size
    font = ImageFont.load_default(max(8, width // 12))
    draw.text((width / 2, height / 2), text, (255, 255, 255), font, "mm", stroke_width=1, stroke_fill=(0, 0, 0))
    return dimmed
