"""Built-in images: sixteen shapes filled with sixteen textures, drawn when they are needed, from their names.

An image's name, such as `circle/circle-dots-00012.png`, says all about it: shape, texture, and a number that seeds the
rest (colours, size, position, rotation, lighting, background), which is drawn at random in the same way for all
classes. Shapes cover equal areas and textures have equal distributions of values, so nothing but shape and texture
tells the classes apart. Imports Pillow and numpy only: worker processes start fast.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from shapebias.core.concepts import Concepts
from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.colours import COLOURS, name_colours, random_colour
from shapebias.precompute.images.builtin.shapes import PARTS, SHAPES, Polygon, draw_mask, draw_parts, outline
from shapebias.precompute.images.builtin.textures import TEXTURES, texture_field
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.image_set import ImageSet

__all__ = ["COLOURS", "PARTS", "SHAPES", "SIZE", "SPLITS", "TEXTURES", "Drawing", "builtin_set", "draw", "draw_path"]

SIZE = 64
SPLITS = {"train": 6000, "probe": 2000, "cue-conflict": 1200}  # how many images, unless you say
CONTRAST = 0.16  # approximate distance of a texture's light and dark from the mean colour, in [0, 1]
_AREA = (0.17, 0.32)  # fraction of the image that a shape covers
_FINE = 4  # silhouettes are drawn so much larger, textures half as much
_TRAIN = 5_000_000  # first number of the train split; other splits have smaller numbers
_SEEDED = 10_000_000  # how many numbers belong to each seed of `builtin_set`
CONCEPTS = Concepts(
    (*COLOURS, *TEXTURES, *PARTS, *SHAPES),
    tuple(np.repeat(range(4), [len(COLOURS), len(TEXTURES), len(PARTS), len(SHAPES)]).tolist()),
    ("color", "texture", "part", "object"),
)
_STEPS = np.linspace(-1, 1, SIZE, dtype=np.float32)  # across the image
_PATH = re.compile(rb"(?:.*/)?([a-z]+)/\1-([a-z]+)-([0-9]{5,18})\.png", re.DOTALL)

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]  # float32


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A built-in image with maps of its contents. In a map, 0 is nothing and n is the n-th name of a list, from 1.

    pixels:   uint8 [SIZE, SIZE, 3]
    shape:    uint8 [SIZE, SIZE], numbers in SHAPES
    part:     uint8 [SIZE, SIZE], numbers in PARTS
    texture:  uint8 [SIZE, SIZE], numbers in TEXTURES
    colour:   uint8 [SIZE, SIZE], numbers in COLOURS; background pixels have one too
    """

    pixels: Pixels
    shape: Pixels
    part: Pixels
    texture: Pixels
    colour: Pixels


Drawn = Callable[[bytes], Drawing]


def draw(shape: int, texture: int, seed: int) -> Drawing:
    """Return the image of a shape filled with a texture (indices into SHAPES and TEXTURES).

    Equal arguments give equal images.
    """
    random = np.random.Generator(np.random.PCG64((seed, shape, texture)))
    placing = _Placing.random(shape, random)
    mask = draw_mask(outline(shape), placing, SIZE * _FINE)
    cover = np.asarray(mask.reduce(_FINE))
    light = _direction(random)
    inside, outside = _colours(random)
    surface = inside + _modulation(texture, mask, cover, random)[..., None] * _tint(random)
    surface = surface * _lighting(cover, light)[..., None]
    ground = _background(outside, random) * _shadow(cover, light)[..., None]
    alpha = cover[..., None].astype(np.float32) / 255
    pixels = np.rint(np.clip(ground + alpha * (surface - ground), 0, 1) * 255).astype(np.uint8)
    seen = cover >= 128
    part = np.where(seen, draw_parts(shape, _Placing(placing.matrix / _FINE, placing.offset / _FINE), SIZE), 0)
    return Drawing(
        pixels=pixels,
        shape=seen * np.uint8(shape + 1),
        part=part.astype(np.uint8),
        texture=seen * np.uint8(texture + 1),
        colour=name_colours(pixels),
    )


@lru_cache(maxsize=1)  # pixels, silhouette and annotation are requested one after the other
def _drawing(path: bytes) -> Drawing:
    return draw(*parse_path(path))


def draw_path(path: bytes, drawn: Drawn = _drawing) -> Pixels:
    """Return the pixels of the built-in image with this path, uint8 [SIZE, SIZE, 3].

    Folders before SHAPE/NAME.png do not matter. `drawn` returns the drawing of a path: `_drawing` draws it. Raises
    `ImageError` for a path that is not of a built-in image.
    """
    return drawn(path).pixels


def draw_silhouette(path: bytes, drawn: Drawn = _drawing) -> Pixels:
    """Return the mask of the built-in image with this path, uint8 [SIZE, SIZE], 255 where the shape is, else 0.

    `drawn` and errors are as for `draw_path`.
    """
    return (drawn(path).shape > 0) * np.uint8(255)


def annotate_path(path: bytes, drawn: Drawn = _drawing) -> Pixels:
    """Return the concepts in each pixel of the built-in image with this path, uint8 [4, SIZE, SIZE].

    A value is 0 for none, or the number of a concept in CONCEPTS, counted from 1. The first axis is the categories of
    CONCEPTS in order. `drawn` and errors are as for `draw_path`.
    """
    drawing = drawn(path)
    maps = [drawing.colour, drawing.texture, drawing.part, drawing.shape]
    before = np.cumsum([0, len(COLOURS), len(TEXTURES), len(PARTS)]).astype(np.uint8)
    return np.stack([(numbers > 0) * (numbers + first) for numbers, first in zip(maps, before, strict=True)])


def parse_path(path: bytes) -> tuple[int, int, int]:
    """Return shape, texture and seed, as `draw` takes them, of the built-in image with this path.

    Raises `ImageError` for a path that is not of a built-in image.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise ImageError("not the name of a built-in image")
    shape, texture, number = (group.decode() for group in match.groups())
    if shape not in SHAPES or texture not in TEXTURES or number != f"{int(number):05d}":
        raise ImageError("not the name of a built-in image")
    return SHAPES.index(shape), TEXTURES.index(texture), int(number)


def builtin_set(split: str, count: int | None = None, seed: int = 0) -> ImageSet:
    """Return the first `count` (None: as SPLITS says) built-in images of a split, sorted as `list_images` sorts files.

    The images of `train` and `probe` show shape i filled with texture i, those of `cue-conflict` with each of the other
    textures in turn; no image is in two splits. An image's class is its shape. Of the numbers in the images' names, 16
    in a row from a multiple of 16 on show each shape and each texture once. Another seed (0 to 999,999,999) gives other
    images. Raises `UsageError` for an unknown split, and for a count or seed that is out of range.
    """
    if split not in SPLITS:
        raise UsageError(f"no split {printable(split)} of the built-in images: {', '.join(SPLITS)}")
    count = SPLITS[split] if count is None else count
    if not 1 <= count <= _TRAIN or not 0 <= seed < 10**9:
        raise UsageError(f"built-in images: 1 to {_TRAIN} of a split, seeds of 0 to 999999999")
    first = seed * _SEEDED + (_TRAIN if split == "train" else 0)
    images = []
    for index in range(count):
        shape, turn = index % len(SHAPES), index // len(SHAPES)
        texture = (shape + 1 + turn % (len(SHAPES) - 1)) % len(SHAPES) if split == "cue-conflict" else shape
        name = f"{SHAPES[shape]}/{SHAPES[shape]}-{TEXTURES[texture]}-{first + index:05d}.png"
        images.append((shape, name.encode()))
    images.sort()
    return ImageSet(
        root=Path(f"built-in-{split}"),
        paths=[path for _, path in images],
        labels=np.array([shape for shape, _ in images], np.int32),
        class_ids=list(SHAPES),
        class_names=list(SHAPES),
        read=draw_path,
        mask=draw_silhouette,
        annotate=annotate_path,
        concepts=CONCEPTS,
    )


@dataclass(frozen=True)
class _Placing:
    """The placing of a shape in an image: converts a polygon's coordinates, [points, 2], to pixels.

    They are multiplied by `matrix`, float64 [2, 2], and then moved by `offset`, float64 [2].
    """

    matrix: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]

    def __call__(self, polygon: Polygon) -> Polygon:
        return polygon @ self.matrix.T + self.offset

    @classmethod
    def random(cls, shape: int, random: np.random.Generator) -> "_Placing":
        """Return a placing of random size, rotation, stretch, mirroring and position for a shape (index into SHAPES).

        Its pixels are those of the fine silhouette, SIZE * _FINE on a side.
        """
        side = SIZE * _FINE
        kind = outline(shape)
        angle = np.deg2rad(random.uniform(-kind.turn, kind.turn))
        cos, sin = np.cos(angle), np.sin(angle)
        stretch = random.uniform(0.92, 1.08)
        mirror = random.choice([-1, 1])
        matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([stretch * mirror, 1 / stretch])
        matrix *= side * random.uniform(*_AREA) ** 0.5
        points = np.concatenate(kind.solids) @ matrix.T
        low, high = points.min(0), points.max(0)
        shrink = min(1.0, float(0.94 * side / (high - low).max()))
        slack = np.minimum(0.96 * side - shrink * (high - low), side / 4)
        centre = side / 2 + slack * random.uniform(-0.5, 0.5, 2)
        return cls(matrix * shrink, centre - shrink * (low + high) / 2)


def _modulation(texture: int, mask: Image.Image, cover: Pixels, random: np.random.Generator) -> Floats:
    """Return by how much a texture (index into TEXTURES) changes the surface's colour, float32 [SIZE, SIZE].

    Over the shape its mean is 0, and its spread is the same for all textures.

    mask:   the fine silhouette, SIZE * _FINE px on a side, 0 or 255
    cover:  uint8 [SIZE, SIZE], how much of each pixel the shape covers, 0 to 255
    """
    side = SIZE * _FINE // 2
    field = texture_field(texture, side, random)
    inside = np.asarray(mask)[1::2, 1::2] > 0
    low, high = field[inside].min(), field[inside].max()
    bins = np.clip((field - low) * np.float32(1023 / max(high - low, 1e-6)), 0, 1023).astype(np.int16)
    counts = np.bincount(bins[inside], minlength=1024)
    rank = (np.cumsum(counts) - counts / 2) / counts.sum()
    steep = np.tanh((rank - 0.45) * 5).astype(np.float32)[bins]
    small = steep.reshape(SIZE, 2, SIZE, 2).mean((1, 3), dtype=np.float32)
    seen = small[cover >= 128]
    centred = (small - seen.mean()) * np.float32(CONTRAST * 0.8 / max(float(seen.std()), 1e-3))
    modulation: Floats = np.clip(centred, -1.5 * CONTRAST, 1.5 * CONTRAST)
    return modulation


def _colours(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Return a colour for the shape and one for the background, easily told apart, each float32 [3] in [0, 1]."""
    inside = 0.2 + 0.62 * random_colour(random)
    while True:
        outside = 0.12 + 0.76 * random_colour(random)
        if np.abs(inside - outside).sum() > 0.75:
            return inside.astype(np.float32), outside.astype(np.float32)


def _tint(random: np.random.Generator) -> Floats:
    """Return the direction in which a texture changes the colour, float32 [3]: lighter or darker, a little to a hue."""
    sign = random.choice([-1, 1])
    return np.asarray(sign * (1 + random.uniform(-0.35, 0.35, 3)), np.float32)


def _direction(random: np.random.Generator) -> Floats:
    angle = random.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def _ramp(direction: Floats) -> Floats:
    """Return values that rise across the image in a direction (x, y of length 1), float32 [SIZE, SIZE].

    Along a side they rise from -1 to 1; in the corners they may reach 1.4.
    """
    ramp: Floats = direction[0] * _STEPS + direction[1] * _STEPS[:, None]
    return ramp


def _lighting(cover: Pixels, light: Floats) -> Floats:
    """Return the brightness of the shape's surface, float32 [SIZE, SIZE], about 1.

    It rises towards the light, and at the shape's edge is a soft bevel. `cover` is as in `_modulation`; `light` is the
    direction (x, y of length 1).
    """
    soft = np.asarray(Image.fromarray(cover).filter(ImageFilter.GaussianBlur(1.5)), np.float32) / 255
    bevel = np.zeros_like(soft)
    bevel[:, 1:-1] = light[0] * (soft[:, :-2] - soft[:, 2:])
    bevel[1:-1] += light[1] * (soft[:-2] - soft[2:])
    return 1 + np.float32(0.12) * _ramp(light) + np.float32(0.35) * bevel


def _shadow(cover: Pixels, light: Floats) -> Floats:
    """Return the brightness of the background, float32 [SIZE, SIZE], 1 or less: darker in the shape's shadow.

    The arguments are those of `_lighting`.
    """
    left, up = np.rint(3 * light).astype(int).tolist()
    blurred = Image.fromarray(cover).filter(ImageFilter.GaussianBlur(3))
    shifted = np.asarray(blurred.transform(blurred.size, Image.Transform.AFFINE, (1, 0, left, 0, 1, up)), np.float32)
    return np.float32(1) - np.float32(0.4 / 255) * shifted


def _background(colour: Floats, random: np.random.Generator) -> Floats:
    """Return smooth noise of a few scales around a colour, with a gradient, float32 [SIZE, SIZE, 3]."""
    noise = np.zeros((SIZE, SIZE, 3), np.float32)
    for cells, strength in ((3, 0.12), (7, 0.05)):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8))
        noise += strength * (np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32) / 128 - 1)
    return colour + noise + np.float32(0.1) * _ramp(_direction(random))[..., None]
