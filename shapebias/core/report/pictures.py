"""The images of a unit in a page: a small grid of tiles, and its description in words."""

import io
from dataclasses import dataclass

from PIL import Image

from shapebias.core.pictures.tiles import View, unit_tiles
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable

_GAP = 3  # px between tiles
_QUALITY = 80
_DESCRIBED = 8  # images in a description
_NAMED = 3  # number of classes that a description names


@dataclass(frozen=True)
class Grid:
    """The size of a unit's grid: tiles across and down, and the side of a tile in px."""

    columns: int
    rows: int
    tile: int


USUAL, LIGHT, LARGE = Grid(4, 2, 96), Grid(4, 2, 56), Grid(5, 3, 112)


def unit_grid(store: Store, unit: Unit, view: View = View.CROP, grid: Grid = USUAL) -> bytes:
    """Return a WebP file of a unit's eight strongest images, each cropped around the maximum, with transparent gaps.

    With `light`, the tiles are smaller. Raises StoreError for a damaged store.
    """
    step = grid.tile + _GAP
    tiles = unit_tiles(store, unit, grid.columns * grid.rows, grid.tile, view)
    rows = max(1, -(-len(tiles) // grid.columns))
    picture = Image.new("RGBA", (grid.columns * step - _GAP, rows * step - _GAP))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, grid.columns)
        picture.paste(tile, (column * step, row * step))
    return encoded(picture)


def encoded(picture: Image.Image) -> bytes:
    """Return a picture as WebP."""
    contents = io.BytesIO()
    picture.save(contents, "WEBP", quality=_QUALITY, method=4)
    return contents.getvalue()


def description(store: Store, unit: Unit) -> str:
    """Return a description of a unit's grid in words: how many images, and of which classes most are."""
    images = store.top(unit).image[:_DESCRIBED].tolist()
    classes = [name for name in map(store.class_of, images) if name]
    counts = sorted({name: classes.count(name) for name in classes}.items(), key=lambda pair: -pair[1])
    named = ", ".join(f"{printable(name, 40)} ({count})" for name, count in counts[:_NAMED])
    return f"The {len(images)} strongest images of {printable(str(unit))}{': ' + named if named else ''}"
