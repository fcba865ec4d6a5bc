"""Pictures as sixel: sent whole each time, and deleted by any text that is written over them."""

from dataclasses import replace

from shapebias.core.pictures.sixel import MAX_SIDE, encode_coarse, encode_fine, encode_within, side_by_side
from shapebias.tui.pictures.budget import usual_bytes
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.painter import Apply, Painter, Piece, Pixels, pieces_of

# (times the usual bytes, colours): with a limit of so many bytes or more, every tile has so many colours of its own.
_FINE = ((5.0, 256), (3.7, 128))
_APART = 0.87  # the tiles of a row take this fraction of its bytes; moves between them take the rest


class SixelPainter(Painter):
    """Sixel. With `whole_rows` the tiles of a row are one picture: tmux keeps few."""

    def __init__(self, whole_rows: bool = False) -> None:
        self.covers_gaps = whole_rows

    def encode(self, tiles: Pixels, layout: GridLayout, limit: int, apply: Apply) -> list[Piece]:
        if not self.covers_gaps:
            return pieces_of(_encode(tiles, layout, limit, apply), layout)
        pieces = pieces_of(_encode(tiles, layout, int(_APART * limit), apply), layout)
        width = layout.cell_columns * layout.cell[0]
        together = min(layout.columns, max(1, MAX_SIDE // width))
        rows = [pieces[first : first + layout.columns] for first in range(0, len(pieces), layout.columns)]
        parts = [row[first : first + together] for row in rows for first in range(0, len(row), together)]
        return [
            replace(
                part[0],
                data=side_by_side([piece.data for piece in part], width),
                columns=part[-1].x + part[-1].columns - part[0].x,
            )
            for part in parts
        ]

    def paint(self, piece: Piece, x: int, y: int, owner: object) -> str:
        return piece.data.decode("ascii")


def _encode(tiles: Pixels, layout: GridLayout, limit: int, apply: Apply) -> list[bytes]:
    """Return the sixel of every tile, the best that `limit` bytes for all of them allow."""
    usual = usual_bytes(layout)
    for times, colours in _FINE:
        if limit >= times * usual:
            return encode_fine(tiles, colours, apply)
    return encode_coarse(tiles, limit, apply) if limit < usual else encode_within(tiles, limit, apply)
