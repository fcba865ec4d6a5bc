"""The command in a pseudo-terminal behind a slow line: 1 Mbit/s or less."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapebias.core.pictures.tiles import View
from shapebias.core.store.opening import open_store
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.maker import Request, coarse_limit, make_picture
from shapebias.tui.terminal.graphics import Graphics
from tests.support.pty_terminal import PtyTerminal, Sixel

pytestmark = pytest.mark.slow
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
    """The tiles of a unit of the first layer, as large as one on the screen."""
    assert like.size is not None
    opened = open_store(store)
    request = Request(
        opened.unit(f"Tiny/block1/{index}"), View.CROP, GridLayout(6, 4, 1, 1, like.size[0]), Graphics.SIXEL
    )
    return list(make_picture(opened, request).tiles)


def data(sixels: list[Sixel]) -> list[bytes]:
    return [sixel.data for sixel in sixels]


def test_a_coarse_grid_comes_soon_then_the_refined_one(slow: PtyTerminal, small_store: Path) -> None:
    mark = slow.mark()
    pressed = slow.press("j")
    assert slow.wait_for(lambda: len(slow.sixels_since(mark)) >= 12)
    coarse, fine = slow.sixels_since(mark)[:6], slow.sixels_since(mark)[6:]
    assert data(fine) == refined(small_store, 1, fine[0])
    assert len({sixel.place for sixel in coarse}) == 6
    assert sum(map(len, data(coarse))) < 0.35 * SPEED < 0.5 * sum(map(len, data(fine)))
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
        sent = terminal.sixels_since(mark)
        assert data(sent) == refined(small_store, 1, sent[0])


def test_the_limit_fits_the_line() -> None:
    layout = GridLayout(6, 4, 16, 8, 124)
    assert coarse_limit(layout, math.inf) is None
    assert coarse_limit(layout, 300_000) is None
    assert [coarse_limit(layout, bytes) for bytes in (200_000, 100_000, 48_000, 37_500, 31_000)] == [
        196_608,
        98_304,
        32_768,
        32_768,
        24_576,
    ]
