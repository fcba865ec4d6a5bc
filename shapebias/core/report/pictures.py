"""The images of a unit in a page: a small grid of tiles, and its description in words."""

import io

from PIL import Image

from shapebias.core.pictures.tiles import View, unit_tiles
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable

_COLUMNS, _ROWS, _TILE, _GAP = 4, 2, 96, 3  # columns and rows of tiles; side of a tile and gap in px
_LIGHT_TILE = 56
_QUALITY = 80
_NAMED = 3  # number of classes that a description names


def unit_grid(store: Store, unit: Unit, light: bool = False) -> bytes:
    """Return a WebP file of a unit's eight strongest images, each cropped around the maximum, with transparent gaps.

    With `light`, the tiles are smaller. Raises StoreError for a damaged store.
    """
    tile = _LIGHT_TILE if light else _TILE
    step = tile + _GAP
    grid = Image.new("RGBA", (_COLUMNS * step - _GAP, _ROWS * step - _GAP))
    for number, picture in enumerate(unit_tiles(store, unit, _COLUMNS * _ROWS, tile, View.CROP)):
        row, column = divmod(number, _COLUMNS)
        grid.paste(picture, (column * step, row * step))
    encoded = io.BytesIO()
    grid.save(encoded, "WEBP", quality=_QUALITY, method=4)
    return encoded.getvalue()


def description(store: Store, unit: Unit) -> str:
    """Return a description of a unit's grid in words: how many images, and of which classes most are."""
    images = store.top(unit).image[: _COLUMNS * _ROWS].tolist()
    classes = [name for name in map(store.class_of, images) if name]
    counts = sorted({name: classes.count(name) for name in classes}.items(), key=lambda pair: -pair[1])
    named = ", ".join(f"{printable(name, 40)} ({count})" for name, count in counts[:_NAMED])
    return f"The {len(images)} strongest images of {printable(str(unit))}{': ' + named if named else ''}"
