"""The sixteen silhouettes of the built-in images, as polygons."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Polygon = npt.NDArray[np.float64]  # [points, 2], x to the right and y down, in a box of about -1 to 1


@dataclass(frozen=True)
class Shape:
    """A silhouette and its parts.

    solids:  polygons whose union, without the holes, is the silhouette
    parts:   the region of each part by its name. The first covers everything, and each region lies over those before
             it; a part is what is seen of its region within the silhouette
    turn:    by how many degrees, at most, it is rotated either way when it is drawn
    """

    solids: list[Polygon]
    parts: dict[str, Polygon]
    holes: list[Polygon] = field(default_factory=list)
    turn: float = 25


def _polygon(*points: tuple[float, float]) -> Polygon:
    return np.array(points, np.float64)


def _box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom))


def _arc(
    centre: tuple[float, float], radius: tuple[float, float], first: float = 0, last: float = 2 * np.pi
) -> Polygon:
    angle = np.linspace(first, last, 48)
    return np.stack([centre[0] + radius[0] * np.cos(angle), centre[1] + radius[1] * np.sin(angle)], 1)


def _disc(radius: float, x: float = 0, y: float = 0) -> Polygon:
    return _arc((x, y), (radius, radius))


_ALL = _box(-9, -9, 9, 9)


def _above(y: float) -> Polygon:
    return _box(-9, -9, 9, y)


def _below(y: float) -> Polygon:
    return _box(-9, y, 9, 9)


def _arrow() -> Shape:
    head = _polygon((0, -1), (0.9, 0), (-0.9, 0))
    return Shape([head, _box(-0.38, -0.1, 0.38, 1)], {"shaft": _ALL, "head": _above(0)})


def _bolt() -> Shape:
    outline = _polygon((0, -1), (0.72, -1), (0.3, -0.3), (0.8, -0.3), (-0.5, 1), (-0.16, 0.16), (-0.75, 0.16))
    lower = _polygon((0.3, -0.3), (9, -0.3), (9, 9), (-9, 9), (-9, 0.16), (0, 0.16))
    return Shape([outline], {"upper half": _ALL, "lower half": lower})


def _bottle() -> Shape:
    body = _polygon((-0.22, -0.5), (0.22, -0.5), (0.56, -0.08), (0.56, 1), (-0.56, 1), (-0.56, -0.08))
    neck = _box(-0.22, -1, 0.22, -0.4)
    lip = _box(-0.32, -1.08, 0.32, -0.86)
    return Shape([body, neck, lip], {"body": _ALL, "neck": _above(-0.45), "lip": _above(-0.86)})


def _circle() -> Shape:
    return Shape([_disc(1)], {"rim": _ALL, "centre": _disc(0.6)}, turn=180)


def _crescent() -> Shape:
    x, y, shift, radius = 0.6416, 0.767, 0.5, 0.78
    outer, inner = np.arctan2(y, x), np.arctan2(y, x - shift)
    outline = [
        _arc((0, 0), (1, 1), outer, 2 * np.pi - outer),
        _arc((shift, 0), (radius, radius), 2 * np.pi - inner, inner),
    ]
    parts = {"middle": _ALL, "upper horn": _above(-0.5), "lower horn": _below(0.5)}
    return Shape([np.concatenate(outline)], parts)


def _cross() -> Shape:
    return Shape(
        [_box(-1, -0.36, 1, 0.36), _box(-0.36, -1, 0.36, 1)], {"arms": _ALL, "centre": _box(-0.36, -0.36, 0.36, 0.36)}
    )


def _fish() -> Shape:
    body = _arc((-0.25, 0), (0.78, 0.55))
    tail = _polygon((0.2, 0), (1.05, -0.62), (0.85, 0), (1.05, 0.62))
    fin = _polygon((-0.5, -0.4), (0.05, -0.85), (0.2, -0.3))
    parts = {
        "body": _ALL,
        "fin": _box(-0.6, -9, 0.3, -0.52),
        "head": _box(-9, -9, -0.55, 9),
        "tail": _box(0.42, -9, 9, 9),
    }
    return Shape([body, tail, fin], parts)


def _heart() -> Shape:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    outline = np.stack([np.sin(t) ** 3, -y / 16 - 0.1], 1)
    return Shape([outline], {"lobes": _ALL, "tip": _below(0.2)})


def _house() -> Shape:
    roof = _polygon((0, -0.95), (1.05, 0), (-1.05, 0))
    chimney = _box(0.42, -0.98, 0.74, -0.2)
    parts = {"wall": _ALL, "roof": _above(0), "chimney": _polygon((0.42, -0.6), (0.42, -9), (0.74, -9), (0.74, -0.28))}
    return Shape([_box(-0.74, -0.1, 0.74, 0.9), roof, chimney], parts)


def _key() -> Shape:
    solids = [_disc(0.56, 0, -0.5), _box(-0.17, -0.1, 0.17, 1.05), _box(0, 0.3, 0.62, 0.55), _box(0, 0.8, 0.62, 1.05)]
    parts = {"shaft": _ALL, "bow": _above(0.04), "bit": _box(0.17, 0.2, 9, 9)}
    return Shape(solids, parts, [_disc(0.23, 0, -0.5)])


def _leaf() -> Shape:
    s = np.linspace(0, 1, 32)
    width = 0.66 * np.sin(np.pi * s**0.8) ** 0.9
    y = 1.7 * s - 0.75
    blade = np.concatenate([np.stack([width, -y], 1), np.stack([-width, -y], 1)[::-1]])
    stem = _polygon((-0.08, 0.6), (0.08, 0.6), (0.22, 1.15), (0.02, 1.18))
    return Shape([blade, stem], {"blade": _ALL, "stem": _below(0.76)})


def _mushroom() -> Shape:
    cap = _arc((0, 0.1), (1, 0.95), np.pi, 2 * np.pi)
    stem = _polygon((-0.3, 0), (0.3, 0), (0.4, 0.95), (-0.4, 0.95))
    return Shape([cap, stem], {"stem": _ALL, "cap": _above(0.1)})


def _ring() -> Shape:
    return Shape([_disc(1)], {"upper half": _ALL, "lower half": _below(0)}, [_disc(0.55)])


def _square() -> Shape:
    return Shape([_box(-1, -1, 1, 1)], {"border": _ALL, "centre": _box(-0.6, -0.6, 0.6, 0.6)})


def _star() -> Shape:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return Shape([outline], {"points": _ALL, "centre": outline[1::2]})


def _triangle() -> Shape:
    return Shape([_polygon((0, -1), (1, 0.75), (-1, 0.75))], {"base": _ALL, "top": _above(0)})


_MAKERS = {
    "arrow": _arrow,
    "bolt": _bolt,
    "bottle": _bottle,
    "circle": _circle,
    "crescent": _crescent,
    "cross": _cross,
    "fish": _fish,
    "heart": _heart,
    "house": _house,
    "key": _key,
    "leaf": _leaf,
    "mushroom": _mushroom,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}
SHAPES = tuple(_MAKERS)  # in the order of their names, which is that of their folders
_OUTLINES = [make() for make in _MAKERS.values()]
PARTS = tuple(f"{name} {part}" for name, shape in zip(SHAPES, _OUTLINES, strict=True) for part in shape.parts)


@cache
def outline(shape: int) -> Shape:
    """Return the shape with this index in SHAPES, scaled to an area of 1, so that all shapes cover equal areas."""
    raw = _OUTLINES[shape]
    mask = draw_mask(raw, lambda polygon: polygon * 200 + 256, 512)
    scale = (np.count_nonzero(np.asarray(mask)) / 200**2) ** -0.5
    return Shape(
        [polygon * scale for polygon in raw.solids],
        {name: polygon * scale for name, polygon in raw.parts.items()},
        [polygon * scale for polygon in raw.holes],
        raw.turn,
    )


def draw_mask(shape: Shape, placing: Callable[[Polygon], Polygon], side: int) -> Image.Image:
    """Return an image of a silhouette, `side` x `side` px, mode L, 255 in the silhouette and 0 elsewhere.

    `placing` converts the coordinates of its polygons to pixels.
    """
    image = Image.new("L", (side, side))
    pen = ImageDraw.Draw(image)
    for fill, polygons in ((255, shape.solids), (0, shape.holes)):
        for polygon in polygons:
            pen.polygon([(x, y) for x, y in placing(polygon).tolist()], fill=fill)
    return image


def draw_parts(shape: int, placing: Callable[[Polygon], Polygon], side: int) -> npt.NDArray[np.uint8]:
    """Return the part of a shape (index into SHAPES) at each pixel, uint8 [side, side]: its index in PARTS plus 1.

    The regions reach beyond the silhouette. `placing` converts their coordinates to pixels.
    """
    image = Image.new("L", (side, side))
    pen = ImageDraw.Draw(image)
    first = sum(len(shape_outline.parts) for shape_outline in _OUTLINES[:shape])
    for number, polygon in enumerate(outline(shape).parts.values(), first + 1):
        pen.polygon([(x, y) for x, y in placing(polygon).tolist()], fill=number)
    return np.asarray(image)
