"""The painters' output, read back by a terminal that keeps pictures, and by Pillow."""

import io
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from shapebias.tui.pictures.iterm2 import ITerm2Painter
from shapebias.tui.pictures.kitty import KittyPainter
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.painter import Painter, Piece, Pixels
from shapebias.tui.pictures.sixel import SixelPainter
from tests.support.sixel_decoder import decode_sixel, psnr

LAYOUT = GridLayout(3, 2, 8, 4, 60, (8, 16))
COMMAND = re.compile(r"\x1b_G([^;\x1b]*)(?:;([^\x1b]*))?\x1b\\")


def tiles(seed: int) -> Pixels:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 8, 3), np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(tile).resize(LAYOUT.frame, Image.Resampling.BICUBIC)) for tile in noise]
    )


class KittyTerminal:
    """Keeps pictures by number, and what is placed where by (number, placement)."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.placed: dict[tuple[str, str], tuple[str, str]] = {}
        self._receiving, self._data = "", ""

    def take(self, text: str) -> None:
        assert not COMMAND.sub("", text), "nothing else is written"
        for options, data in COMMAND.findall(text):
            keys = dict(option.split("=") for option in options.split(","))
            assert len(data) <= 4096
            if "m" in keys:
                if keys.get("a") == "t":
                    self._receiving, self._data = keys["i"], ""
                self._data += data
                if keys["m"] == "0":
                    self.kept[self._receiving] = b64decode(self._data)
            elif keys["a"] == "p":
                assert keys["i"] in self.kept, "it was sent before"
                self.placed[keys["i"], keys["p"]] = (keys["c"], keys["r"])
            elif keys["d"] == "I":
                del self.kept[keys["i"]]
                self.placed = {key: size for key, size in self.placed.items() if key[0] != keys["i"]}
            else:
                del self.placed[keys["i"], keys["p"]]


def paint(painter: Painter, pieces: list[Piece], owner: object = 1) -> str:
    return "".join(painter.paint(piece, 10 + piece.x, 5 + piece.y, owner) for piece in pieces)


def test_kitty_keeps_pictures_and_shows_the_last_alone() -> None:
    painter, terminal = KittyPainter(), KittyTerminal()
    pictures = [painter.encode(tiles(seed), LAYOUT, 10**6, map) for seed in (1, 2)]
    sizes = []
    for pieces in (*pictures, pictures[0]):
        cost, text = painter.cost(pieces), paint(painter, pieces)
        terminal.take(text)
        sizes.append((cost, len(text)))
        placed = [terminal.kept[number] for number, _ in terminal.placed]
        assert sorted(placed) == sorted(b64decode(piece.data) for piece in pieces)
        assert set(terminal.placed.values()) == {("8", "4")}
    assert sizes[2][1] < 1000 < sizes[0][1], "what was seen before costs a few bytes"
    assert all(0.9 * cost < size < 1.6 * cost for cost, size in sizes)
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(b64decode(piece.data)))) for piece in pictures[1]])
    assert np.array_equal(decoded, tiles(2)), "nothing is lost where there is room"
    terminal.take(painter.clear(owner=2))
    assert len(terminal.placed) == 6
    terminal.take(painter.clear(owner=1, keep=[(10, 5)]))
    assert len(terminal.placed) == 1
    terminal.take(painter.end())
    assert not terminal.placed
    assert not terminal.kept
    assert painter.cost(pictures[0]) > 1000, "it is sent again"


def test_the_same_picture_twice_on_the_screen_is_sent_once() -> None:
    painter, terminal = KittyPainter(), KittyTerminal()
    pieces = painter.encode(np.repeat(tiles(1)[:1], 6, 0), LAYOUT, 10**6, map)
    terminal.take(paint(painter, pieces))
    assert (len(terminal.kept), len(terminal.placed)) == (1, 6)


def test_the_terminal_is_not_made_to_keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapebias.tui.pictures.kitty._MOST_KEPT", 3 * 6 * 8 * 4)
    painter, terminal = KittyPainter(), KittyTerminal()
    for seed in range(6):
        terminal.take(paint(painter, painter.encode(tiles(seed), LAYOUT, 10**6, map)))
    assert len(terminal.kept) == 18
    assert len(terminal.placed) == 6


@pytest.mark.parametrize("limit", [6_000, 20_000, 60_000, 10**6])
@pytest.mark.parametrize("painter", [KittyPainter(), ITerm2Painter(), SixelPainter(), SixelPainter(whole_rows=True)])
def test_pictures_keep_within_their_bytes(painter: Painter, limit: int) -> None:
    pieces = painter.encode(tiles(3), LAYOUT, limit, map)
    assert sum(len(piece.data) for piece in pieces) <= limit


def test_more_bytes_make_better_pictures() -> None:
    qualities = []
    for limit in (6_000, 12_000, 25_000, 10**6):
        pieces = ITerm2Painter().encode(tiles(4), LAYOUT, limit, map)
        decoded = [Image.open(io.BytesIO(b64decode(piece.data))).resize(LAYOUT.frame) for piece in pieces]
        qualities.append(psnr(np.stack([np.asarray(image) for image in decoded]), tiles(4)))
    assert qualities == sorted(qualities)
    assert qualities[-1] > 36


def test_iterm2_says_the_size_in_cells_and_bytes() -> None:
    (piece, *_) = pieces = ITerm2Painter().encode(tiles(1), LAYOUT, 10**5, map)
    text = ITerm2Painter().paint(piece, 0, 0, None)
    match = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);width=8;height=4;[^:]*:([^\x07]*)\x07", text)
    assert match is not None
    assert int(match[1]) == len(b64decode(match[2]))
    assert ITerm2Painter().cost(pieces) >= sum(len(piece.data) for piece in pieces)


def test_in_tmux_a_row_of_tiles_is_one_picture_of_the_same_pixels() -> None:
    apart, together = (SixelPainter(whole_rows=rows).encode(tiles(5), LAYOUT, 10**5, map) for rows in (False, True))
    assert [(piece.x, piece.y, piece.columns, piece.rows) for piece in together] == [(0, 0, 24, 4), (0, 4, 24, 4)]
    width, height = LAYOUT.frame
    for row, whole in enumerate(together):
        beside = [decode_sixel(piece.data, width, height) for piece in apart[3 * row : 3 * row + 3]]
        assert np.array_equal(decode_sixel(whole.data, 3 * width, height), np.concatenate(beside, 1))
