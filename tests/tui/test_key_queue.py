"""Keys that come faster than screens open: each is a key of the screen that the one before it leaves."""

from pathlib import Path

import pytest
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.widgets import OptionList

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.screens.image import ImageScreen
from shapebias.tui.screens.twins import TwinsScreen
from tests.support.explorer_pilot import exploring

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def type_at_once(app: Explorer, *keys: str | Paste) -> None:
    """Do as the driver does with several keys in one read."""
    for key in keys:
        character = " " if key == "space" else key if not isinstance(key, Paste) and len(key) == 1 else None
        app._keys.add(key if isinstance(key, Paste) else Key(key, character))


async def all_handed_on(app: Explorer, pilot: Pilot[None]) -> None:
    for _ in range(400):
        await pilot.pause(0.01)
        if app._keys._task is not None and app._keys._task.done():
            return
    raise AssertionError("keys still wait")


async def test_keys_typed_after_one_that_opens_a_screen_go_to_that_screen(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        type_at_once(app, *"tjjj")
        await all_handed_on(app, pilot)
        assert isinstance(app.screen, TwinsScreen)
        assert app.screen.query_one(OptionList).highlighted == 3
        assert app.units.cursor == 0


async def test_through_two_screens_and_back(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        type_at_once(app, "j", "enter", "enter", "j", "j")
        await all_handed_on(app, pilot)
        assert isinstance(app.screen, ImageScreen)
        assert app.screen.rank == 2
        type_at_once(app, "escape", "j", "backspace", "j", "m")
        await all_handed_on(app, pilot)
        assert len(app.screen_stack) == 1
        assert app.units.cursor == 3
        assert [unit.index for unit in app.session.marks.units()] == [3], "no key ran twice"


@pytest.mark.parametrize("pasted", [True, False])
async def test_a_filter_that_is_pasted_behind_its_key_runs_no_command(store: Store, pasted: bool) -> None:
    async with exploring(store) as (app, pilot):
        text = "max > 0 and not layer ~ zzm"
        type_at_once(app, "f", *([Paste(text)] if pasted else [key if key != " " else "space" for key in text]))
        await all_handed_on(app, pilot)
        await pilot.pause()
        assert app.prompt.display
        assert app.prompt._input.value == text
        assert not app.session.marks.units()
        assert len(app.screen_stack) == 1


async def test_a_key_that_leaves_does_not_wait_for_the_reading_of_a_screen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwinsScreen, "_find", lambda self: None)  # it never comes to an end
    async with exploring(store) as (app, pilot):
        type_at_once(app, "t")
        await all_handed_on(app, pilot)
        assert isinstance(app.screen, TwinsScreen)
        type_at_once(app, "j", "j", "escape", "j")
        await all_handed_on(app, pilot)
        assert len(app.screen_stack) == 1
        assert app.units.cursor == 1
