"""Attribution maps as heat over the image that they explain."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_CAP = 0.99  # quantile of |values| at which colours end, as the authors of SmoothGrad do (arXiv 1706.03825)
_OPAQUE = 0.85  # of the strongest colour over the grey image
# Vermillion and blue are told apart by the colour-blind (Okabe & Ito 2008).
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
RED, YELLOW = (230, 0, 0), (255, 240, 0)
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_PALE = 0.4  # of the image's contrast, where black and white are the heat
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


def relative_heat(values: NDArray[np.float32], scale: float, signed: bool) -> NDArray[np.float32]:
    """Return a map as shares of the value at which colours end, float32 in [-1, 1]: 0 where there is no heat."""
    if is_constant(values) or not scale > 0:
        return np.zeros_like(values)
    shares: NDArray[np.float32] = np.clip(_heat(values, signed) * np.float32(1 / scale), -1, 1)
    return shares


def heat_tile(
    photo: Image.Image,
    values: NDArray[np.float32] | None,
    *,
    scale: float,
    signed: bool,
    coloured: bool = True,
) -> Image.Image:
    """Return a map, float32 [h, w], upsampled bilinearly over the grey photo: RGB, as large as the photo.

    Colours end at `scale`: give one to tiles that are to be compared (`heat_scale`). Signed maps are vermillion where
    they speak for the output that is explained and blue where they speak against it. Others begin at their smallest
    value, since RISE's are the chance of a random mask everywhere, and go from transparent over red to yellow. Where
    the tile is not `coloured`, white stands for what speaks for the output and black for what speaks against it. A
    constant map says `no evidence`; None, `not measured`.
    """
    grey = photo.convert("L")
    if values is None or is_constant(values) or not scale > 0:
        return _without_heat(grey, "not measured" if values is None else "no evidence")
    upsampled = Image.fromarray(_heat(values, signed)).resize(photo.size, Image.Resampling.BILINEAR)
    heat = np.asarray(upsampled) * np.float32(1 / scale)
    ground = np.asarray(grey, np.float32)
    if not coloured:
        ground = 128 + _PALE * (ground - 128)
    return _blended(ground, _layers(np.clip(heat, -1, 1, out=heat), signed, coloured))


def _layers(heat: Values, signed: bool, coloured: bool) -> list[tuple[Values, tuple[int, int, int]]]:
    """Return the opacities [h, w] of the colours that show values [h, w] in [-1, 1]; they add up to at most 1.

    Of maps without a sign red fades in up to the middle, and from there turns yellow.
    """
    if signed:
        colours = (FOR, AGAINST) if coloured else (_WHITE, _BLACK)
        return [(_OPAQUE * np.maximum(sign * heat, 0), colour) for sign, colour in zip((1, -1), colours, strict=True)]
    if not coloured:
        return [(_OPAQUE * heat, _WHITE)]
    turned = np.maximum(2 * heat - 1, 0)
    return [(_OPAQUE * np.minimum(2 * heat, 1) * (1 - turned), RED), (_OPAQUE * turned, YELLOW)]


def _blended(ground: Values, layers: Sequence[tuple[Values, tuple[int, int, int]]]) -> Image.Image:
    """Return colours over a grey ground [h, w], RGB; channel by channel, which is several times as fast as together."""
    below = ground * (1 - sum(opacity for opacity, _ in layers))
    pixels = np.empty((*ground.shape, 3), np.uint8)
    for channel in range(3):
        level = below + sum(opacity * colour[channel] for opacity, colour in layers if colour[channel])
        pixels[..., channel] = np.rint(level, out=level)
    return Image.fromarray(pixels)


def _without_heat(grey: Image.Image, text: str) -> Image.Image:
    """Return the grey image, dimmed, with a text in its middle."""
    dimmed = grey.point([round(level * _DIMMED) for level in range(256)]).convert("RGB")
    draw, (width, height) = ImageDraw.Draw(dimmed), dimmed.size
    font = ImageFont.load_default(max(8, width // 12))
    draw.text((width / 2, height / 2), text, (255, 255, 255), font, "mm", stroke_width=1, stroke_fill=(0, 0, 0))
    return dimmed
