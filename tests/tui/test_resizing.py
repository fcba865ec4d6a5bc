"""Panes that are made wider and narrower, by keys and by their borders."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.resizing import LEAST
from tests.support.explorer_pilot import exploring, press, settled

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def widths(app: Explorer) -> list[int]:
    """The cells of the panes from the left; 0 for one that is not displayed."""
    return [app.screen.query_one(f"#{name}").region.width for name in LEAST]


async def drag(app: Explorer, pilot: Pilot[None], start: int, end: int) -> None:
    await pilot.mouse_down(offset=(start, 5))
    for x in (start + (end - start) // 2, end):
        await pilot.hover(offset=(x, 5))
    await pilot.mouse_up(offset=(end, 5))
    await settled(app, pilot)


async def test_keys_move_the_border_of_the_pane_with_the_focus(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        side, units, unit = usual = widths(app)
        await press(app, pilot, "plus", "plus", "minus")
        assert widths(app) == [side, units + 4, unit - 4]
        assert app.panel.grid.picture is not None
        assert app.panel.grid.picture.request.layout == app.panel.grid.grid_layout(), "a picture for the new room"
        await press(app, pilot, "tab", "minus")
        assert widths(app) == [side - 4, units + 4, unit]
        await press(app, pilot, "tab", *["plus"] * 40)
        assert widths(app) == [side - 4, sum(usual) - (side - 4) - LEAST["unit"], LEAST["unit"]]
        await press(app, pilot, *["minus"] * 40)
        assert widths(app)[1] == LEAST["units"]
        await press(app, pilot, "equals_sign")
        assert widths(app) == usual


async def test_a_border_is_dragged(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        side, units, unit = widths(app)
        await drag(app, pilot, side + units - 1, side + units + 9)
        assert widths(app) == [side, units + 10, unit - 10]
        await drag(app, pilot, side, 3)
        assert widths(app)[0] == LEAST["side"]
        cursor = app.units.cursor
        await pilot.click(app.units, offset=(8, 8))
        assert app.units.cursor != cursor, "the mouse is free again"


async def test_widths_hold_and_fit_into_other_terminals(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await press(app, pilot, *["plus"] * 40)
        chosen = widths(app)
        await press(app, pilot, "enter", "plus", "escape", "right_square_bracket")
        assert widths(app) == chosen
        for width in (120, 100, 60, 160):
            await pilot.resize_terminal(width, 40)
            for _ in range(200):
                await pilot.pause(0.02)
                side, units, unit = widths(app)
                if side + units + unit == width and unit in (0, LEAST["unit"]):
                    break
            assert side + units + unit == width
            assert unit == (LEAST["unit"] if width > 60 else 0)
            assert (side > 0) == (width > 100)
        assert widths(app) == chosen
