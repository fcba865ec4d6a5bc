"""Two metrics against each other."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.screens.plots.scatter import ScatterScreen
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.widgets.text_plots import Axis
from tests.support.explorer_pilot import exploring, frame, press

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


async def test_keys_pick_units_and_enter_goes_there(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        await press(app, pilot, "X")
        await pilot.pause(0.1)
        screen = app.screen
        assert isinstance(screen, ScatterScreen)
        assert frame(screen.plot).startswith("classes ↑  smooth →")
        assert screen.panel.unit == store.unit("Tiny/block3/5")
        smoothness = store.metric("Tiny", "block3", "smoothness")
        for _ in range(40):
            before = screen.plot.unit.index
            await pilot.press("right")
            if screen.plot.unit.index == before:
                break
            assert smoothness[screen.plot.unit.index] > smoothness[before]
        width = float(smoothness.max() - smoothness.min())
        assert smoothness.max() - smoothness[screen.plot.unit.index] < 0.05 * width, "at the right end"
        picked = screen.plot.unit
        assert screen.panel.unit == picked
        await pilot.press("s", "w")
        assert "diversity ↑  coherent →" in frame(screen.plot)
        await press(app, pilot, "enter")
        assert app.units.unit == picked
        assert len(app.screen_stack) == 1


async def test_a_click_picks_the_nearest(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        await press(app, pilot, "X")
        await pilot.pause(0.1)
        screen = app.screen
        assert isinstance(screen, ScatterScreen)
        column, row = screen.plot._cells[12].tolist()
        await pilot.click(screen.plot, offset=(1 + 9 + column, 1 + 1 + row))
        chosen = screen.plot._cells[screen.plot.row].tolist()
        assert chosen == [column, row]


def test_an_axis_is_logarithmic_where_values_are_far_apart() -> None:
    values = np.array([1.0, 10.0, 1000.0, np.nan])
    axis = Axis(values)
    assert axis.cells(values, 30).tolist() == [0, 10, 29, -1]
    assert axis.at(1.0) == pytest.approx(1000.0)
    flat = np.array([2.0, 2.0])
    assert Axis(flat).cells(flat, 10).tolist() == [5, 5]
