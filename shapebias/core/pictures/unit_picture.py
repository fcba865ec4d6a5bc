"""The picture that is saved for a unit: its top images as a grid with captions."""

from pathlib import Path

from PIL import Image

from shapebias.core.numbers import number_text
from shapebias.core.pictures.tiles import View, compose, unit_tiles
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable

_TILE = 256  # px
_COLUMNS = 5


def unit_picture(
    store: Store, unit: Unit, view: View, tile: int = _TILE, *, images: int | None = None, columns: int = _COLUMNS
) -> Image.Image:
    """Return a unit's top images, the strongest first, as an RGB grid with `columns` columns.

    There are the strongest `images` of them (None: all), on tiles of `tile` x `tile` px. The caption below each is the
    activation with the class, or with the file's name where there is no class. Raises StoreError for a damaged store.
    """
    top = store.top(unit)
    tiles = unit_tiles(store, unit, len(top.image) if images is None else images, tile, view)
    captions = []
    for rank in range(len(tiles)):
        image = int(top.image[rank])
        name = store.class_of(image) or Path(store.image_name(image)).name
        captions.append(f"{number_text(float(top.value[rank]))} {printable(name, 60)}")
    return compose(tiles, columns, max(1, -(-len(tiles) // columns)), tile, captions=captions)
