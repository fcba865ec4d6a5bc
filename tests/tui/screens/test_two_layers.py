"""Two layers side by side, each with its own sort and cursor."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.screens.two_layers import TwoLayersScreen, _beside
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, frame, press

pytestmark = pytest.mark.slow


async def test_each_side_has_its_own_sort_cursor_and_layer(small_store: Path) -> None:
    store = open_store(small_store)
    async with exploring(store, Graphics.NONE, unit="Tiny/block1/2") as (app, pilot):
        await press(app, pilot, "T")
        await pilot.pause(0.1)
        screen = app.screen
        assert isinstance(screen, TwoLayersScreen)
        left, right = screen.sides
        assert (left.layer_key, right.layer_key) == (("Tiny", "block1"), ("Tiny", "block2"))
        assert left.panel.unit == store.unit("Tiny/block1/2")
        await pilot.press("s", "g", "tab", "s", "s", "r", "g", "j")
        await pilot.pause(0.1)
        best = np.argsort(-store.metric("Tiny", "block1", "smoothness"), kind="stable")
        least = np.argsort(store.metric("Tiny", "block2", "coherence"), kind="stable")
        assert left.panel.unit == store.unit(f"Tiny/block1/{best[0]}")
        assert right.panel.unit == store.unit(f"Tiny/block2/{least[1]}")
        assert frame(left.units).startswith("Tiny/block1  16 of 16  ↓ smoothness")
        assert frame(right.units).startswith("Tiny/block2")
        await pilot.press("right_square_bracket", "tab", "j")
        await pilot.pause(0.1)
        assert right.layer_key == ("Tiny", "block3")
        assert right.units.sort_by == "coherence", "the sort stays"
        assert left.panel.unit == store.unit(f"Tiny/block1/{best[1]}")
        assert app.units.unit == store.unit("Tiny/block1/2"), "the panes stay where they are"
        await pilot.press("tab", "enter")
        await pilot.pause(0.1)
        assert len(app.screen_stack) == 1
        assert app.layer == ("Tiny", "block3")


async def test_a_filter_is_that_of_the_side_with_the_focus(small_store: Path) -> None:
    store = open_store(small_store)
    async with exploring(store, Graphics.NONE, unit="Tiny/block1/2") as (app, pilot):
        await press(app, pilot, "T", "tab", "f", *"unit", "space", "greater_than_sign", "space", "2")
        await pilot.pause(0.1)
        screen = app.screen
        assert isinstance(screen, TwoLayersScreen)
        left, right = screen.sides
        smooth = store.metric("Tiny", "block2", "smoothness")
        await press(app, pilot, "escape", "slash", *"smooth", "space", "greater_than_sign", "space", "0", "enter")
        await pilot.pause(0.1)
        assert right.units.has_focus
        assert right.condition == "smooth > 0"
        assert right.units.row_count == (smooth > 0).sum()
        await press(app, pilot, "f", "x")
        await pilot.pause(0.1)
        assert right.units.row_count == (smooth > 0).sum(), "a mistake leaves the table as it is"
        await press(app, pilot, "escape")
        await pilot.pause(0.1)
        assert right.units.row_count == len(smooth)
        assert left.units.row_count == len(store.metric("Tiny", "block1", "smoothness"))
        assert app.screen is screen


async def test_only_the_side_with_the_focus_refines_its_pictures(small_store: Path) -> None:
    async with exploring(open_store(small_store), size=(80, 24)) as (app, pilot):
        await press(app, pilot, "T")
        await pilot.pause(0.1)
        screen = app.screen
        assert isinstance(screen, TwoLayersScreen)
        left, right = (side.panel.grid for side in screen.sides)
        assert (left.refines, right.refines) == (True, False)
        await press(app, pilot, "tab")
        await pilot.pause(0.1)
        assert (left.refines, right.refines) == (False, True)


def test_the_same_layer_of_the_next_model_is_beside() -> None:
    layers = {"S": ["a", "b"], "Other": ["c"], "R": ["b"]}
    store = cast(Store, SimpleNamespace(models=layers, layers=layers.__getitem__))
    assert _beside(store, ("S", "b")) == ("R", "b")
    assert _beside(store, ("R", "b")) == ("S", "b"), "around"
    assert _beside(store, ("S", "a")) == ("S", "b"), "no other model has it"
