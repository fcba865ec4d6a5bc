"""Pictures by kitty graphics and half cells: textual-image's renderables, without its questions to the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from shapebias.tui.terminal.query import Graphics


def library_picture(image: Image.Image, graphics: Graphics, cell: tuple[int, int] | None = None) -> Any:
    """Return a rich renderable of `image` with a `cleanup()`, in kitty graphics or half cells.

    In half cells a pixel is as wide as a column and half as high as a line. `cell` is the size (width, height) of a
    terminal's cell in pixels, where the terminal was asked for it already.
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
    """Keep textual-image from asking the terminal when it is imported: the answers would arrive as keys."""
    stdout = sys.__stdout__
    sys.__stdout__ = None  # type: ignore[misc]  # Final in the stubs
    try:
        yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]  # Final in the stubs
