"""Any two units side by side."""

from pathlib import Path

import pytest

from shapebias.core.store.opening import open_store
from shapebias.tui.screens.pair import PairScreen
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, press, status

pytestmark = pytest.mark.slow


async def test_a_unit_is_kept_and_put_beside_others(small_store: Path) -> None:
    store = open_store(small_store)
    async with exploring(store, Graphics.NONE, unit="Tiny/block1/2") as (app, pilot):
        await press(app, pilot, "x")
        assert "kept Tiny/block1/2" in status(app)
        await press(app, pilot, "right_square_bracket", "x")
        await pilot.pause(0.1)
        screen = app.screen
        assert isinstance(screen, PairScreen)
        assert screen.left.unit == store.unit("Tiny/block1/2")
        await pilot.press("j")
        await pilot.pause(0.1)
        assert screen.right.unit == store.unit("Tiny/block2/1")
        assert screen.left.unit == store.unit("Tiny/block1/2"), "it stays"
        await pilot.press("x", "j")
        await pilot.pause(0.1)
        assert screen.left.unit == store.unit("Tiny/block2/1")
        assert screen.right.unit == store.unit("Tiny/block2/2")
        await pilot.press("escape", "k", "x")
        assert app.session.kept is None, "on the kept unit itself, it is no longer kept"
