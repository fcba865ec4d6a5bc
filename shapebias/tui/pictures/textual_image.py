"""Pictures by kitty graphics and half cells: textual-image's renderables, without its questions to the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from shapebias.tui.terminal.query import Graphics


def library_picture(image: Image.Image, graphics: Graphics, cell: tuple[int, int] | None = None) -> Any:
    """A rich renderable of `image` with a `cleanup()`. Half cells: a pixel a column, two pixels a line.

    `cell` is the size of a terminal cell in pixels, where it was asked for already.
    """
    with _without_queries():
        from textual_image._terminal import CellSize, get_cell_size
        from textual_image.renderable.halfcell import Image as HalfcellImage
        from textual_image.renderable.tgp import Image as KittyImage

    if cell is not None:
        setattr(get_cell_size, "_result", CellSize(*cell))  # noqa: B010 (its cache, where it looks first)
    if graphics is Graphics.HALFCELL:
        return HalfcellImage(image, width=image.width, height=-(-image.height // 2))
    return KittyImage(image)


@contextmanager
def _without_queries() -> Iterator[None]:
    """textual-image asks the terminal when it is imported; its answers would arrive as keys."""
    stdout = sys.__stdout__
    sys.__stdout__ = None  # type: ignore[misc]  # Final in the stubs
    try:
        yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]  # Final in the stubs
