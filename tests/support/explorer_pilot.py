"""Drives the explorer through Textual's Pilot, for the tests of its keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.session import Session
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal

XTERM = Terminal(sixel=True, kitty=False, cell_width=8, cell_height=17, answered=True)


def session_of(store: Store) -> Session:
    """Return the session of a store that a screen needs when it is tested without the app."""
    return Session(store, XTERM, Graphics.NONE)


@asynccontextmanager
async def exploring(
    store: Store, graphics: Graphics = Graphics.SIXEL, size: tuple[int, int] = (160, 48), unit: str | None = None
) -> AsyncIterator[tuple[Explorer, Pilot[None]]]:
    app = Explorer(store, store.unit(unit) if unit else None, XTERM, graphics)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(app, pilot)
        yield app, pilot


async def settled(app: Explorer, pilot: Pilot[None]) -> None:
    """Wait until the picture of the unit under the cursor is shown, in the size that the pane has room for."""
    for _ in range(200):
        await pilot.pause(0.01)
        grid = app.panel.grid
        if app.session.graphics is Graphics.NONE or grid.grid_layout() is None or app.units.unit is None:
            return
        if grid.picture is None or grid.picture.request.layout != grid.grid_layout():
            continue
        if grid.picture.request.subject == app.units.unit:
            return
    raise AssertionError("the picture never came")


async def press(app: Explorer, pilot: Pilot[None], *keys: str) -> None:
    """Press keys, and wait as `settled` does."""
    await pilot.press(*keys)
    await settled(app, pilot)


async def write(app: Explorer, pilot: Pilot[None], text: str) -> None:
    """Paste a text into the prompt: typing it takes 50 ms per key here."""
    app.prompt.query_one(Input).insert_text_at_cursor(text)
    await settled(app, pilot)


def units_in_table(app: Explorer) -> list[int]:
    """Return the numbers of the units in the table, from the top."""
    return app.units.unit_numbers.tolist()


def status(app: Explorer) -> str:
    """Return the text of the status line."""
    return str(app.screen_stack[0].query_one("#status").render())


def hint(app: Explorer) -> str:
    """Return the text of the line below the prompt."""
    return str(app.prompt.query_one(".hint").render())


def frame(pane: Widget) -> str:
    """Return the title of a pane's frame and the text at its lower edge."""
    return f"{pane._border_title}\n{pane._border_subtitle}"


def screen_lines(app: Explorer) -> list[Strip]:
    """Return the lines of the screen; pictures that are painted past Textual are blank."""
    return app.screen._compositor.render_strips()
