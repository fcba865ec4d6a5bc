"""Attribution maps drawn as heat over the image that they explain."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_CAP = 0.99  # quantile of |values| with the strongest colour, as in the SmoothGrad paper (arXiv 1706.03825)
_OPAQUE = 0.85  # opacity of the strongest colour over the grey image
# Colour-blind people can distinguish vermillion and blue (Okabe & Ito 2008).
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
RED, YELLOW = (230, 0, 0), (255, 240, 0)
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_PALE = 0.4  # fraction of the image's contrast that is kept where heat is black and white
_DIMMED = 0.5  # brightness of an image without heat
Values = NDArray[np.floating[Any]]


def heat_scale(maps: Iterable[NDArray[np.float32]], signed: bool) -> float:
    """Return the absolute value that gets the strongest colour, for one method's maps that are drawn on one scale.

    It is the largest of the maps' 0.99 quantiles of |values|, or their largest |value| where the maps are 0 nearly
    everywhere; 0 where all maps are constant. Values of unsigned maps are counted from the map's smallest: see
    `heat_tile`.
    """
    return max((_cap(np.abs(_heat(values, signed))) for values in maps if not is_constant(values)), default=0.0)


def is_constant(values: NDArray[np.float32]) -> bool:
    """Return whether a map has the same value everywhere, so that it says nothing about the image."""
    return bool((values == values.flat[0]).all())


def _cap(sizes: NDArray[np.float32]) -> float:
    return float(np.quantile(sizes, _CAP)) or float(sizes.max())


def _heat(values: NDArray[np.float32], signed: bool) -> NDArray[np.float32]:
    return values if signed else values - values.min()


def relative_heat(values: NDArray[np.float32], scale: float, signed: bool) -> NDArray[np.float32]:
    """Return a map as heat, float32 [h, w] in [-1, 1]: its values divided by `scale`, which has the strongest colour.

    0 means no heat: everywhere for a constant map or a scale of 0. Values of unsigned maps are counted from the map's
    smallest; they are never below 0.
    """
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

    `scale` gets the strongest colour; pass the same one for tiles that are compared (`heat_scale`). Signed maps are
    vermillion where they speak for the explained output and blue where they speak against it. Unsigned maps start at
    their smallest value (every value of RISE contains the chance of a random mask) and go from transparent over red to
    yellow. With `coloured` false, white speaks for the output and black against it. For a constant map or a scale of 0,
    the words `no evidence` stand over the dimmed photo; for None, `not measured`.
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
    """Return the colours to draw for heat [h, w] in [-1, 1] (see `relative_heat`), each after its opacity [h, w].

    The opacities at a pixel add up to at most 1. For unsigned maps, red fades in up to the middle and turns yellow from
    there.
    """
    if signed:
        colours = (FOR, AGAINST) if coloured else (_WHITE, _BLACK)
        return [(_OPAQUE * np.maximum(sign * heat, 0), colour) for sign, colour in zip((1, -1), colours, strict=True)]
    if not coloured:
        return [(_OPAQUE * heat, _WHITE)]
    turned = np.maximum(2 * heat - 1, 0)
    return [(_OPAQUE * np.minimum(2 * heat, 1) * (1 - turned), RED), (_OPAQUE * turned, YELLOW)]


def _blended(ground: Values, layers: Sequence[tuple[Values, tuple[int, int, int]]]) -> Image.Image:
    """Return colours drawn over a grey picture, float [h, w] in 0..255, as RGB; `layers` are those of `_layers`.

    Blending channel by channel is several times as fast as all at once.
    """
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
