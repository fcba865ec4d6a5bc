"""The sixteen textures of the built-in images, as smooth fields over the plane.

A field's values say only what is darker than what: `drawing` gives all fields the same distribution of values. The
function of a texture takes the coordinates `u` and `v` of pixels, float32 [side, side], in periods of the texture, and
random numbers; it returns the field at these points, in any range.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.floating[Any]]  # computed in float32
Random = np.random.Generator


def _sine(turns: Field) -> Field:
    sine: Field = np.sin(np.float32(2 * np.pi) * turns)
    return sine


def _floor(x: Field) -> Field:
    return np.floor(x)


def _root(x: Field) -> Field:
    return np.sqrt(x)


def _triangle_wave(x: Field) -> Field:
    """Return values between 0 (at whole numbers) and 1, period 1."""
    return 1 - np.abs(2 * (x - _floor(x)) - 1)


def _from_centre(x: Field) -> Field:
    """Return the signed distance from the middle between whole numbers, -0.5 to 0.5."""
    return x - _floor(x) - np.float32(0.5)


def _noise(u: Field, random: Random, cells: int) -> Field:
    coarse = Image.fromarray(random.integers(0, 256, (cells, cells), np.uint8))
    return np.asarray(coarse.resize(u.shape[::-1], Image.Resampling.BICUBIC), np.float32)


def _blobs(u: Field, v: Field, random: Random) -> Field:
    return _noise(u, random, 10) + _noise(u, random, 19) / 4


def _bricks(u: Field, v: Field, random: Random) -> Field:
    row = _floor(v)
    across = 0.5 - np.abs(_from_centre(u / 2 + row / 2))
    return np.minimum(2 * across, 0.5 - np.abs(_from_centre(v)))


def _checks(u: Field, v: Field, random: Random) -> Field:
    return _sine(u / np.float32(1.6)) * _sine(v / np.float32(1.6))


def _dots(u: Field, v: Field, random: Random) -> Field:
    x, y = _from_centre(u + _floor(v) / 2), _from_centre(v)
    return x * x + y * y


def _facets(u: Field, v: Field, random: Random) -> Field:
    a = v * np.float32(0.8)
    b = u * np.float32(0.6928) - a / 2
    return _sine(a) + _sine(b) - _sine(a + b)


def _grain(u: Field, v: Field, random: Random) -> Field:
    return _noise(u, random, 42)


def _grid(u: Field, v: Field, random: Random) -> Field:
    return -np.maximum(np.abs(_from_centre(u)), np.abs(_from_centre(v)))


def _hatch(u: Field, v: Field, random: Random) -> Field:
    return _sine(np.float32(0.7071) * (u + v))


def _pluses(u: Field, v: Field, random: Random) -> Field:
    u, v = u / np.float32(1.25), v / np.float32(1.25)
    x, y = np.abs(_from_centre(u + _floor(v) / 2)), np.abs(_from_centre(v))
    return np.maximum(np.maximum(x, y) - np.float32(0.25), np.minimum(x, y))


def _rays(u: Field, v: Field, random: Random) -> Field:
    return _sine(np.float32(11 / (2 * np.pi)) * np.arctan2(v, u) + np.float32(random.random()))


def _ripples(u: Field, v: Field, random: Random) -> Field:
    return _sine(_root(u * u + v * v) + np.float32(random.random()))


def _scales(u: Field, v: Field, random: Random) -> Field:
    """Return rows of half discs, each row over the one below."""
    row = _floor(2 * v)
    best = np.full_like(u, 0.5)
    for step in (-1, 0):  # a disc that begins in the row above hangs over this one
        top = (row + step) / 2
        x, y = _from_centre(u * np.float32(0.9) + top), v - top
        distance = _root(x * x + y * y / 2)
        best = np.where((distance < 0.5) & (best == 0.5), distance, best)
    return best


def _stripes(u: Field, v: Field, random: Random) -> Field:
    return _sine(v)


def _waves(u: Field, v: Field, random: Random) -> Field:
    return _sine(u + np.float32(0.3) * _sine(v / np.float32(2.4)))


def _weave(u: Field, v: Field, random: Random) -> Field:
    along = (_floor(u / 2) + _floor(v / 2)) % 2 == 0
    return _sine(np.float32(1.25) * np.where(along, u, v) + np.float32(0.25))


def _zigzag(u: Field, v: Field, random: Random) -> Field:
    return _sine(v + np.float32(0.75) * _triangle_wave(u / 2))


_FIELDS: dict[str, Callable[[Field, Field, Random], Field]] = {
    "blobs": _blobs,
    "bricks": _bricks,
    "checks": _checks,
    "dots": _dots,
    "facets": _facets,
    "grain": _grain,
    "grid": _grid,
    "hatch": _hatch,
    "pluses": _pluses,
    "rays": _rays,
    "ripples": _ripples,
    "scales": _scales,
    "stripes": _stripes,
    "waves": _waves,
    "weave": _weave,
    "zigzag": _zigzag,
}
TEXTURES = tuple(_FIELDS)
_ABOUT_A_POINT = {"rays", "ripples"}


@cache
def _grid_points(side: int) -> Field:
    """Return the rows and the columns of the pixels of a square image, float32 [2, side, side]."""
    return np.mgrid[:side, :side].astype(np.float32)


def texture_field(texture: int, side: int, random: Random) -> Field:
    """Return the field of a texture (index into TEXTURES) over a square image, float32 [side, side].

    Its scale, angle and place are random: the scale varies by up to a fifth, the angle by up to 8 degrees either way.
    """
    name = TEXTURES[texture]
    period = side / 8 * random.uniform(0.85, 1.2)
    angle = np.deg2rad(random.uniform(-8, 8))
    phase = random.uniform(0, 8, 2)
    if name in _ABOUT_A_POINT:
        phase = -side / period * random.uniform(0.38, 0.62, 2)
    y, x = _grid_points(side) / np.float32(period)
    if name in _ABOUT_A_POINT:
        u, v = x + np.float32(phase[0]), y + np.float32(phase[1])
    else:
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u, v = cos * x - sin * y + np.float32(phase[0]), sin * x + cos * y + np.float32(phase[1])
    return _FIELDS[name](u, v, random)
