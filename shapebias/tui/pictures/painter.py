"""Painters send the tiles of a picture to a terminal: one protocol for all kinds of graphics over cells."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.tui.pictures.layout import GridLayout

Pixels = NDArray[np.uint8]
Apply = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Piece:
    """A part of a picture that is sent at once: its data, as its painter encodes it, and its cells.

    It takes `columns` x `rows` cells from the cell (x, y) on, counted from the picture's upper left one.
    """

    data: bytes
    x: int
    y: int
    columns: int
    rows: int


class Painter(ABC):
    """Encodes the tiles of pictures, and paints them at cells of the screen.

    The default methods are for pictures that are sent whole each time, and deleted by any text that is written over
    them. `covers_gaps` says whether pieces cover the cells between the tiles of a row, too.
    """

    covers_gaps = False

    @abstractmethod
    def encode(self, tiles: Pixels, layout: GridLayout, limit: int, apply: Apply) -> list[Piece]:
        """Return the pieces of a picture, as good as `limit` bytes allow. Runs on the thread that makes pictures.

        `tiles` are uint8 [n, height, width, 3], as large as their cells; `apply` is `map`, or that of an executor.
        """

    @abstractmethod
    def paint(self, piece: Piece, x: int, y: int, owner: object) -> str:
        """Return the control sequences that paint a piece at the cursor, which the caller has moved to its cell.

        That is the cell (x, y) of the screen, from 0. `owner` is whoever may `clear` the piece later.
        """

    def cost(self, pieces: Sequence[Piece]) -> int:
        """Return how many bytes it takes to paint the pieces now."""
        return sum(len(piece.data) for piece in pieces)

    def clear(self, owner: object = None, keep: Iterable[tuple[int, int]] = ()) -> str:
        """Return the control sequences that remove the pieces of an owner, or of all owners where it is None.

        Pieces that begin in the cells `keep`, (x, y) of the screen, stay.
        """
        return ""

    def end(self) -> str:
        """Return the control sequences that delete everything the terminal keeps."""
        return ""


def pieces_of(data: Sequence[bytes], layout: GridLayout) -> list[Piece]:
    """Return one piece for each tile of a layout, from their encoded data in reading order."""
    return [
        Piece(tile, *layout.cell_of(index), layout.tile_columns, layout.tile_rows) for index, tile in enumerate(data)
    ]
