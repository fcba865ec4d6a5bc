"""The command in a pseudo-terminal behind a slow line: 1 Mbit/s or less."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapebias.core.pictures.tiles import View
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from shapebias.tui.pictures.budget import first_limit, refined_limit, usual_bytes
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.maker import Request, make_picture
from shapebias.tui.pictures.sixel import SixelPainter
from tests.support.pty_terminal import PtyTerminal, Sixel

pytestmark = pytest.mark.slow
DARK = (18, 18, 18)  # the theme's background
SPEED = 25_000  # bytes a second; the grids of the small store are shorter than those of photos, too


def explore(store: Path, speed: float | None = None, silent: bool = False, state: Path | None = None) -> PtyTerminal:
    command = [sys.executable, "-m", "shapebias", "explore", str(store), "--graphics", "sixel"]
    environment = {} if state is None else {"XDG_STATE_HOME": str(state)}
    return PtyTerminal(command, 160, 48, (8, 16), environment, speed, silent)


@pytest.fixture(scope="module")
def slow(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PtyTerminal]:
    with explore(small_store, SPEED, state=tmp_path_factory.mktemp("state")) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
        terminal.wait_quiet(1.5)
        yield terminal


def refined(store: Path, index: int, like: Sixel) -> list[bytes]:
    """The tiles of a unit of the first layer as they usually are, as large as one on the screen."""
    assert like.size is not None
    columns, rows = like.size[0] // 8, like.size[1] // 16
    layout = GridLayout(6, 4, columns, rows, min(like.size), (8, 16))
    opened = open_store(store)
    request = Request(opened.unit(f"Tiny/block1/{index}"), View.CROP, layout, usual_bytes(layout), DARK)
    return [piece.data for piece in make_picture(opened, request, SixelPainter()).pieces]


def data(sixels: list[Sixel]) -> list[bytes]:
    return [sixel.data for sixel in sixels]


def test_a_coarse_grid_comes_soon_then_the_refined_one(slow: PtyTerminal, small_store: Path) -> None:
    mark = slow.mark()
    pressed = slow.press("j")
    assert slow.wait_for(lambda: len(slow.sixels_since(mark)) >= 12)
    coarse, fine = slow.sixels_since(mark)[:6], slow.sixels_since(mark)[6:]
    assert data(fine) == refined(small_store, 1, fine[0])
    assert len({sixel.position for sixel in coarse}) == 6
    assert sum(map(len, data(coarse))) < 0.35 * SPEED < 0.6 * sum(map(len, data(fine)))
    assert coarse[-1].time - pressed < 1.0


def test_a_key_overtakes_the_picture_on_its_way(slow: PtyTerminal, small_store: Path) -> None:
    mark = slow.mark()
    slow.press("j")
    assert slow.wait_for(lambda: len(slow.sixels_since(mark)) > 6), "it is being refined"
    middle = slow.mark()
    pressed = slow.press("j")
    stale = refined(small_store, 2, slow.sixels_since(0)[0])
    assert slow.wait_for(lambda: slow.time_of_text(b"block1/3", middle) is not None)
    slow.wait_quiet(1.0)
    sent = slow.sixels_since(mark)
    assert data(sent)[-6:] == refined(small_store, 3, sent[-1])
    assert 0 < len(set(data(sent)) & set(stale)) < 5, "it was left where it was"
    first = next(sixel for sixel in slow.sixels_since(middle) if sixel.data not in stale)
    assert first.time - pressed < 0.8
    assert slow.output_since(0).count(b"\x1bP") == len(slow.sixels_since(0)), "no sixel string was cut"


def test_while_a_key_is_held_stale_grids_are_left_out(slow: PtyTerminal, small_store: Path) -> None:
    slow.press("g")
    slow.wait_quiet(1.0)
    mark = slow.mark()
    for _ in range(12):
        slow.press("j")
        time.sleep(1 / 30)
    slow.wait_quiet(1.0)
    sent = slow.sixels_since(mark)
    assert data(sent)[-6:] == refined(small_store, 12, sent[-1])
    assert not set(data(sent)[:-6]) & {tile for unit in range(1, 12) for tile in refined(small_store, unit, sent[-1])}
    assert len(sent) < 5 * 6


def test_a_silent_terminal_gets_its_pictures_too(small_store: Path) -> None:
    with explore(small_store, silent=True) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
        terminal.wait_quiet(0.5)
        mark = terminal.mark()
        terminal.press("j")
        assert terminal.wait_for(lambda: len(terminal.sixels_since(mark)) >= 6)
        sent = terminal.sixels_since(mark)[:6]
        assert data(sent) == refined(small_store, 1, sent[0])


def test_the_limits_fit_the_line() -> None:
    layout, unit = GridLayout(6, 4, 16, 8, 124, (8, 16)), Unit("Tiny", "block1", 0)
    usual = usual_bytes(layout)
    assert first_limit(layout, unit, math.inf) == usual <= 250_000
    assert refined_limit(layout, unit, math.inf) == 6 * usual
    speeds = (1_000_000, 660_000, 330_000, 150_000, 125_000, 104_000)
    affordable = [usual, 196_608, 98_304, 32_768, 32_768, 24_576]
    assert [first_limit(layout, unit, speed) for speed in speeds] == affordable
    assert [refined_limit(layout, unit, speed) for speed in (4e6, 2e6, 125e3)] == [786_432, 393_216, usual]
