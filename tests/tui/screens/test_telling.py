"""Errors of a store in the handlers and actions of a screen."""

from pathlib import Path

import pytest

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.opening import open_store
from shapebias.tui.session import Session
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, press

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("keys", [["enter"], ["h"], ["x", "j", "x"]])
async def test_an_error_of_the_store_is_told_and_the_explorer_goes_on(
    small_store: Path, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ShapebiasError("the store is damaged here")

    async with exploring(open_store(small_store), Graphics.NONE) as (app, pilot):
        monkeypatch.setattr("shapebias.tui.widgets.unit_panel.UnitPanel.show", fail)
        await press(app, pilot, *keys)
        await pilot.pause(0.1)
        assert len(app.screen_stack) == 2
        assert {toast.message for toast in app._notifications} == {"the store is damaged here"}
        monkeypatch.undo()
        await press(app, pilot, "escape")
        await pilot.pause(0.1)
        before = app.units.unit
        await press(app, pilot, "j")
        assert len(app.screen_stack) == 1
        assert app.units.unit != before


async def test_an_error_in_an_action_is_told(small_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exploring(open_store(small_store), Graphics.NONE) as (app, pilot):
        await press(app, pilot, "x", "j", "x")
        monkeypatch.setattr(Session, "load", lambda *_: (_ for _ in ()).throw(ShapebiasError("no such chunk")))
        await press(app, pilot, "x")
        await pilot.pause(0.1)
        assert [toast.message for toast in app._notifications] == ["no such chunk"]
        assert app.is_running
