"""Pictures by kitty graphics: sent once, then placed again by their number, and taken away by it.

https://sw.kovidgoyal.net/kitty/graphics-protocol/. Without Unicode placeholders, which several terminals lack that have
the rest. Answers are switched off (q=2): they would come as keys.
"""

from base64 import standard_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from shapebias.core.pictures.compressed import png_within
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.painter import Apply, Painter, Piece, Pixels, pieces_of

_CHUNK = 4096  # bytes that one escape sequence may carry
_PLACING = 60  # bytes that place a picture or take it away
_MOST_KEPT = 100_000  # cells of pictures that a terminal is made to keep: some 70 MB


class KittyPainter(Painter):
    """Kitty graphics. Pictures seen before cost only a few bytes, as long as the terminal keeps them."""

    def __init__(self) -> None:
        # Numbers of the pictures in the terminal, longest unused first.
        self._numbers: OrderedDict[bytes, int] = OrderedDict()
        self._cells: dict[bytes, int] = {}  # how many cells each of these pictures takes
        self._placed: dict[object, dict[tuple[int, int], bytes]] = {}  # by owner and cell
        self._last = 0

    def encode(self, tiles: Pixels, layout: GridLayout, limit: int, apply: Apply) -> list[Piece]:
        return pieces_of([standard_b64encode(file) for file in png_within(tiles, limit * 3 // 4, apply)], layout)

    def cost(self, pieces: Sequence[Piece]) -> int:
        return sum(_PLACING + (0 if piece.data in self._numbers else len(piece.data)) for piece in pieces)

    def paint(self, piece: Piece, x: int, y: int, owner: object) -> str:
        placed = self._placed.setdefault(owner, {})
        before = placed.get((x, y))
        sent = "".join(self._send(piece))
        number = self._numbers[piece.data]
        size = f"c={piece.columns},r={piece.rows}"
        painted = f"\x1b_Ga=p,q=2,i={number},p={_place(x, y)},{size},C=1\x1b\\"
        placed[x, y] = piece.data
        gone = "" if before in (None, piece.data) else self._take_away(before, x, y)
        return sent + painted + gone + self._free(_MOST_KEPT)

    def clear(self, owner: object = None, keep: Iterable[tuple[int, int]] = ()) -> str:
        owners = list(self._placed) if owner is None else [owner]
        kept, gone = set(keep), ""
        for one in owners:
            placed = self._placed.pop(one, {})
            for cell in [cell for cell in placed if cell not in kept]:
                gone += self._take_away(placed.pop(cell), *cell)
            if placed:
                self._placed[one] = placed
        return gone

    def end(self) -> str:
        self._placed.clear()
        return self._free(0)

    def _send(self, piece: Piece) -> Iterator[str]:
        """Yield the control sequences that send a picture, in chunks; none where the terminal has it."""
        if piece.data in self._numbers:
            self._numbers.move_to_end(piece.data)
            return
        self._last += 1
        self._numbers[piece.data], self._cells[piece.data] = self._last, piece.columns * piece.rows
        text = piece.data.decode("ascii")
        for start in range(0, len(text), _CHUNK):
            first = f"a=t,q=2,f=100,i={self._last}," if start == 0 else ""
            more = int(start + _CHUNK < len(text))
            yield f"\x1b_G{first}m={more};{text[start : start + _CHUNK]}\x1b\\"

    def _take_away(self, data: bytes | None, x: int, y: int) -> str:
        """Return the control sequence that removes a picture from the cell (x, y); the terminal keeps its data.

        It is empty where the terminal does not keep the picture any more.
        """
        number = self._numbers.get(data or b"")
        return "" if number is None else f"\x1b_Ga=d,d=i,q=2,i={number},p={_place(x, y)}\x1b\\"

    def _free(self, cells: int) -> str:
        """Return the control sequences that delete the longest unused pictures, until those kept take at most `cells`
        cells.

        Pictures that are placed somewhere are not deleted.
        """
        visible = {data for placed in self._placed.values() for data in placed.values()}
        total, gone = sum(self._cells.values()), ""
        for data in list(self._numbers):
            if total <= cells:
                break
            if data not in visible:
                total -= self._cells.pop(data)
                gone += f"\x1b_Ga=d,d=I,q=2,i={self._numbers.pop(data)}\x1b\\"
        return gone


def _place(x: int, y: int) -> int:
    """Return the number of the placement at the cell (x, y): a picture may be placed at several cells."""
    return y * 10_000 + x + 1
