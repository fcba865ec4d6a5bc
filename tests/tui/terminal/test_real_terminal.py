"""The command itself in a pseudo-terminal that answers like an xterm with sixel graphics."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.pictures.tiles import AttributionMaps, Photo, View, attribution_views, unit_tiles
from shapebias.core.store.opening import open_store
from shapebias.core.text import cell_width
from tests.support.attribution_store import IMAGES
from tests.support.pty_terminal import PtyTerminal
from tests.support.sixel_decoder import decode_sixel

pytestmark = pytest.mark.slow


def explore(store: Path, *options: str, columns: int = 160, rows: int = 48) -> PtyTerminal:
    command = [sys.executable, "-m", "shapebias", "explore", str(store), *options]
    return PtyTerminal(command, columns, rows, cell=(8, 16))


@pytest.fixture
def terminal(small_store: Path) -> Iterator[PtyTerminal]:
    with explore(small_store) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
        terminal.wait_quiet(0.5)
        yield terminal


def test_the_pictures_on_the_screen_are_the_units_images(terminal: PtyTerminal, small_store: Path) -> None:
    mark = terminal.mark()
    terminal.press("j")
    assert terminal.wait_for(lambda: len(terminal.sixels_since(mark)) >= 12)
    terminal.wait_quiet(0.4)
    sixels = terminal.sixels_since(mark)
    assert len(sixels) == 12, "each tile once, and once refined"
    store = open_store(small_store)
    size = sixels[0].size
    assert size is not None
    side = min(size)
    tiles = unit_tiles(store, store.unit("Tiny/block1/1"), 6, side, View.CROP)
    for first, refined, tile in zip(sixels[:6], sixels[6:], tiles, strict=True):
        errors = [
            np.abs(decode_sixel(sixel.data, *size)[:side, :side] - np.asarray(tile, float)).mean()
            for sixel in (first, refined)
        ]
        assert errors[1] < errors[0] < 16
    assert len({sixel.position for sixel in sixels[:6]}) == 6


def test_the_cursor_on_the_images_is_text(terminal: PtyTerminal) -> None:
    mark = terminal.mark()
    for key in ("\t", "\t", "\x1b[C"):
        terminal.press(key)
    assert terminal.wait_for(lambda: b"\xe2\x96\x90" in terminal.output_since(mark)), "a line beside the tile"
    terminal.wait_quiet(0.5)
    assert not terminal.sixels_since(mark), "no picture is sent again"
    mark = terminal.mark()
    terminal.press("\x1b[C")
    terminal.wait_quiet(0.5)
    assert 0 < len(terminal.output_since(mark)) < 4000
    assert not terminal.sixels_since(mark)
    terminal.press("\t")


def test_attribution_maps_are_on_the_screen(attributed_store: Path) -> None:
    store = open_store(attributed_store)
    top = store.top(store.unit("Tiny/block1/0")).image.tolist()
    photo = Photo("Tiny", next((image for image in top if image in IMAGES), IMAGES[0]))
    with explore(attributed_store) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
        terminal.wait_quiet(0.5)
        for method, signed in (("gradient", True), ("rise", False)):
            mark = terminal.mark()
            terminal.press("a")
            assert terminal.wait_for(lambda mark=mark: len(terminal.sixels_since(mark)) >= 2)
            terminal.wait_quiet(1.0)
            sixels = terminal.sixels_since(mark)
            assert len({sixel.position for sixel in sixels}) == 2, "the image and the map"
            size = sixels[-1].size
            assert size is not None
            side = min(size)
            tiles = attribution_views(store, AttributionMaps(method, signed, (photo,)), side)
            for sixel, tile in zip(sixels[-2:], tiles, strict=True):
                decoded = decode_sixel(sixel.data, *size)[:side, :side]
                assert np.abs(decoded - np.asarray(tile, float)).mean() < 16


def test_sixels_stay_inside_the_screen_and_off_the_footer(terminal: PtyTerminal) -> None:
    for sixel in terminal.sixels_since(0):
        assert sixel.position is not None
        assert sixel.size is not None
        row, column = sixel.position
        assert (row - 1) * 16 + sixel.size[1] <= 46 * 16
        assert (column - 1) * 8 + sixel.size[0] <= 160 * 8


def test_quitting_leaves_the_terminal_clean(terminal: PtyTerminal) -> None:
    mark = terminal.mark()
    terminal.press("q")
    assert terminal.process.wait(20) == 0
    terminal.wait_quiet(0.2)
    output = terminal.output_since(mark)
    assert b"\x1b[?1049l" in output, "the normal screen is back"
    assert b"\x1b[?25h" in output, "the cursor is back"
    assert b"Traceback" not in output


def test_resizing_paints_the_picture_anew(terminal: PtyTerminal) -> None:
    mark = terminal.mark()
    terminal.resize(130, 40)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    assert terminal.wait_for(lambda: len(terminal.sixels_since(mark)) >= 6)


def test_torch_is_not_loaded(terminal: PtyTerminal) -> None:
    maps = Path(f"/proc/{terminal.process.pid}/maps").read_text()
    assert "libzstd" in maps or "numcodecs" in maps, "the list of loaded libraries is readable"
    assert not re.search(r"libtorch|libgomp", maps)


def test_debug_stats_show_the_bytes_of_a_move(small_store: Path) -> None:
    with explore(small_store, "--debug-stats") as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
        terminal.wait_quiet(1.0)
        mark = terminal.mark()
        terminal.press("j")
        pattern = re.compile(rb"(\d+) ms, ([\d.]+) kB")
        assert terminal.wait_for(lambda: pattern.search(terminal.text_since(mark)) is not None)
        timing = pattern.search(terminal.text_since(mark))
        assert timing is not None
        sixels = sum(len(sixel.data) for sixel in terminal.sixels_since(mark))
        assert float(timing[2]) * 1000 >= sixels > 0
        assert float(timing[2]) * 1000 < len(terminal.output_since(mark)) + 100


def test_hostile_names_never_reach_the_terminal(store_copy: Path) -> None:
    attributes = store_copy / "images/probe/zarr.json"
    evil = r"\u001b]0;owned\u0007\u202e"
    attributes.write_text(attributes.read_text().replace('"class3"', f'"{evil}class3"'))
    for graphics in ("sixel", "none"):
        with explore(store_copy, "--graphics", graphics) as terminal:
            terminal.wait_for(lambda terminal=terminal: b"block1" in terminal.text_since(0), timeout=60)
            terminal.press("G")
            terminal.wait_quiet(1.0)
            output = terminal.output_since(0)
        assert b"\x1b]0;owned" not in output
        assert "\u202e".encode() not in output


_WRITTEN = re.compile(
    rb"\x1b\[(\d+);(\d+)H|\x1bP[^\x1b]*?\"1;1;(\d+);(\d+)[^\x1b]*\x1b\\|\x1b\[[?>=]?[\d;]*[a-zA-Z]|\x1b.|([^\x1b]+)"
)


def cells_with_pictures(output: bytes) -> set[tuple[int, int]]:
    """Return the cells (row, column) where a picture is seen once a terminal has shown `output`."""
    row = column = 0
    pictures: set[tuple[int, int]] = set()
    for match in _WRITTEN.finditer(output):
        y, x, width, height, text = match.groups()
        if y is not None:
            row, column = int(y) - 1, int(x) - 1
        elif width is not None:
            rows, columns = -(-int(height) // 16), -(-int(width) // 8)
            pictures |= {(row + down, column + right) for down in range(rows) for right in range(columns)}
        elif text is not None:
            written = cell_width(text.decode())
            pictures -= {(row, column + right) for right in range(written)}
            column += written
    return pictures


def test_a_grid_that_a_prompt_moves_leaves_nothing_behind(small_store: Path) -> None:
    with explore(small_store, columns=80, rows=24) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 2, timeout=60)
        terminal.wait_quiet(1)
        terminal.press("T")
        terminal.wait_quiet(1)
        before = cells_with_pictures(terminal.output_since(0))
        mark = terminal.mark()
        terminal.press("f")
        terminal.wait_quiet(1)
        assert terminal.sixels_since(mark), "the prompt moves the grid"
        terminal.press("\x1b")
        terminal.wait_quiet(1)
        assert before
        assert cells_with_pictures(terminal.output_since(0)) == before
