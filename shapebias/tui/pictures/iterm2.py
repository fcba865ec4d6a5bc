"""Pictures by iTerm2's inline images (OSC 1337): JPEG files, sent whole each time, wiped by text over them.

https://iterm2.com/documentation-images.html
"""

from base64 import standard_b64encode
from collections.abc import Sequence

from shapebias.core.pictures.compressed import jpeg_within
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.painter import Apply, Painter, Piece, Pixels, pieces_of

_HEADER = 100  # bytes that are sent before a file, about


class ITerm2Painter(Painter):
    """Inline images, as large as their cells."""

    def encode(self, tiles: Pixels, layout: GridLayout, limit: int, apply: Apply) -> list[Piece]:
        room = limit * 3 // 4 - _HEADER * len(tiles)
        return pieces_of([standard_b64encode(file) for file in jpeg_within(tiles, room, apply)], layout)

    def cost(self, pieces: Sequence[Piece]) -> int:
        return sum(_HEADER + len(piece.data) for piece in pieces)

    def paint(self, piece: Piece, x: int, y: int, owner: object) -> str:
        file = piece.data.decode("ascii")
        size = f"size={len(file) // 4 * 3 - file.count('=')};width={piece.columns};height={piece.rows}"
        options = f"inline=1;{size};preserveAspectRatio=0;doNotMoveCursor=1"
        return f"\x1b]1337;File={options}:{file}\x07"
