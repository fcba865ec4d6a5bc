"""The histogram of a metric with the cursor's unit in it."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.table import UnitTable
from shapebias.tui.app import Explorer
from shapebias.tui.screens.plots.histogram import HistogramPlot, HistogramScreen
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, frame, press

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def pointer(app: Explorer) -> str:
    screen = app.screen
    assert isinstance(screen, HistogramScreen)
    return str(screen.plot.render().plain.splitlines()[-3])  # type: ignore[union-attr]


async def test_the_pointer_follows_the_cursor_and_the_metric(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        await press(app, pilot, "s", "s", "g", "h")
        await pilot.pause(0.1)
        assert frame(app.screen.plot).startswith("coherent")  # type: ignore[attr-defined]
        values = store.metric("Tiny", "block3", "coherence")
        order = np.argsort(-values, kind="stable")
        places = []
        for row in order[:12].tolist():
            assert f"Tiny/block3/{row} " in pointer(app)
            places.append(pointer(app).index("▲"))
            await pilot.press("j")
            await pilot.pause()
        assert places == sorted(places, reverse=True), "from the largest value down"
        assert places[0] > places[-1]
        await pilot.press("s")
        assert frame(app.screen.plot).startswith("classes")  # type: ignore[attr-defined]
        await pilot.press("left_square_bracket")
        await pilot.pause(0.1)
        assert "Tiny/block2/" in pointer(app), "another layer's units"
        unit = app.units.unit
        await pilot.press("escape")
        assert app.units.unit == unit


def test_bars_are_shares_of_each_model_and_their_colours_are_mixed() -> None:
    values = np.array([0.0] * 6 + [1.0] * 2 + [0.0] * 1 + [1.0] * 3, np.float32)
    layer = np.array([0] * 8 + [1] * 4, np.int32)
    index = np.concatenate([np.arange(8), np.arange(4)]).astype(np.int32)
    plot = HistogramPlot(UnitTable([("S", "a"), ("R", "a")], layer, index, {"smoothness": values}), 0, "smoothness")
    lines = plot._bars(np.where(values > 0.5, 1, 0), bins=2, rows=3, columns=2)
    s, r = (plot.models[model][0].upper() for model in ("S", "R"))
    mixed = "#8C986A"
    assert [line.plain[-2:] for line in lines] == ["██", "██", "██"]
    styles = [[str(span.style).upper() for span in line.spans[-2:]] for line in lines]
    assert styles == [[s, r], [s, r], [mixed, mixed]], "three quarters of S left, of R right"
    assert lines[0].plain.startswith("   75.0%")
