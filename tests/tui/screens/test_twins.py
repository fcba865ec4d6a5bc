"""The screen of twins: the unit left, the candidate right; keys, sizes, what stays of it when it closes."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from shapebias.core.analysis.twins import Correlator, find_twins
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.screens.twins import TwinsScreen
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, frame, settled

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


async def opened(app: Explorer, pilot: Pilot[None]) -> TwinsScreen:
    """Opens the screen, and waits for its candidates."""
    await pilot.press("t")
    await pilot.pause()
    screen = app.screen
    assert isinstance(screen, TwinsScreen)
    for _ in range(200):
        await pilot.pause(0.01)
        if screen.query_one(OptionList).option_count or "no unit" in said(screen):
            return screen
    raise AssertionError("no candidate came")


def said(screen: TwinsScreen) -> str:
    return frame(screen.query_one(OptionList))


async def pictured(screen: TwinsScreen, pilot: Pilot[None]) -> str:
    """The unit of the right picture, once it is that of the list's line."""
    for _ in range(200):
        await pilot.pause(0.01)
        row, picture = screen.query_one(OptionList).highlighted, screen.other.grid.picture
        if row is not None and picture is not None and picture.request.subject == screen.candidates[row].unit:
            return str(picture.request.subject)
    raise AssertionError("the picture never came")


async def test_both_units_are_shown_and_enter_goes_to_the_twin(store: Store) -> None:
    expected = find_twins(Correlator(store), store.unit("Tiny/block2/3"))
    async with exploring(store, unit="Tiny/block2/3") as (app, pilot):
        screen = await opened(app, pilot)
        assert screen.candidates == expected
        assert await pictured(screen, pilot) == str(expected[0].unit)
        assert screen.panel.grid.picture is not None
        assert str(screen.panel.grid.picture.request.subject) == "Tiny/block2/3"
        await pilot.press("j", "j", "k", "j", "j")
        assert await pictured(screen, pilot) == str(expected[3].unit)
        await pilot.press("enter")
        await settled(app, pilot)
        assert len(app.screen_stack) == 1
        assert app.units.unit == expected[3].unit


async def test_escape_goes_back_and_the_cursor_stays(store: Store) -> None:
    async with exploring(store, unit="Tiny/block2/3") as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("right_square_bracket", "s", "m", "G", "v", "slash", "escape")
        await settled(app, pilot)
        assert len(app.screen_stack) == 1
        assert str(app.units.unit) == "Tiny/block2/3"
        assert not app.session.marks.units()
        assert not screen.is_attached


@pytest.mark.parametrize("size", [(160, 48), (100, 30), (60, 15), (20, 6)])
async def test_every_size_shows_candidates_and_a_grid_within_the_screen(store: Store, size: tuple[int, int]) -> None:
    async with exploring(store, size=size, unit="Tiny/block2/3") as (app, pilot):
        screen = await opened(app, pilot)
        assert screen.query_one(OptionList).size.height >= (3 if size[1] > 6 else 1)
        for panel in (screen.panel, screen.other):
            assert panel.region.right <= size[0]
        assert screen.panel.display is (size[0] >= 76)
        if size[0] >= 60:
            assert await pictured(screen, pilot)


async def test_a_unit_without_correlation_is_said_to_have_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapebias.tui.screens.twins.find_twins", lambda correlator, unit: [])
    async with exploring(store, Graphics.NONE, unit="Tiny/block2/3") as (app, pilot):
        screen = await opened(app, pilot)
        assert "no unit correlates with Tiny/block2/3" in said(screen)
        await pilot.press("j", "enter", "escape")
        assert len(app.screen_stack) == 1
