"""The cursor on a unit's images, by keys and mouse."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.pictures.tile_text import captions
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.image import ImageScreen
from shapebias.tui.screens.twins import TwinsScreen
from shapebias.tui.screens.zoom import ZoomScreen
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.widgets.grid_view import GridView
from tests.support.explorer_pilot import exploring, press, screen_lines

UNIT = "Tiny/block1/2"
DRAWN = [Graphics.SIXEL, Graphics.HALFCELL]


@pytest.fixture(scope="module")
def store(small_store: Path) -> Store:
    return open_store(small_store)


def lines(app: Explorer, grid: GridView) -> list[str]:
    """Return the text of the grid, one string per line, without the blanks at the right."""
    region = grid.content_region
    strips = screen_lines(app)[region.y : region.bottom]
    return [strip.crop(region.x, region.right).text.rstrip() for strip in strips]


async def to_the_images(app: Explorer, pilot: Pilot[None]) -> GridView:
    await press(app, pilot, "tab", "tab")
    assert app.panel.grid.has_focus, "behind the layers"
    return app.panel.grid


@pytest.mark.parametrize("graphics", DRAWN)
async def test_captions_and_the_cursor_are_text(store: Store, graphics: Graphics) -> None:
    async with exploring(store, graphics, (140, 40), UNIT) as (app, pilot):
        grid, layout = app.panel.grid, app.panel.grid.grid_layout()
        assert layout is not None
        below = captions(store, store.unit(UNIT), 6, layout.caption_columns)
        row = lines(app, grid)[layout.tile_rows]
        assert row == " " + " ".join(below[: layout.columns])
        assert "▐" not in row, "no cursor before the grid has the focus"
        await to_the_images(app, pilot)
        await press(app, pilot, "right")
        rows = lines(app, grid)
        x = layout.cell_of(1)[0]
        assert {line[x - 1] + line[x + layout.tile_columns] for line in rows[: layout.tile_rows]} == {"▐▌"}
        assert rows[layout.tile_rows][x - 1 :].startswith(f"▐{below[1]}")
        card = "".join(strip.text for strip in screen_lines(app)[:4])
        assert f"image 2/6  {store.class_of(int(store.top(store.unit(UNIT)).image[1]))}  activation" in card


@pytest.mark.parametrize("graphics", [*DRAWN, Graphics.NONE])
async def test_arrows_move_and_enter_opens(store: Store, graphics: Graphics) -> None:
    async with exploring(store, graphics, unit=UNIT) as (app, pilot):
        grid = await to_the_images(app, pilot)
        layout = grid.grid_layout()
        columns = 1 if graphics is Graphics.NONE or layout is None else layout.columns
        for key, cursor in (
            ("up", 0),
            ("down", columns),
            ("right", columns + 1),
            ("end", 5),
            ("right", 5),
            ("left", 4),
        ):
            await pilot.press(key)
            assert grid.cursor == cursor, key
        await pilot.press("enter")
        assert isinstance(app.screen, ImageScreen)
        assert app.screen.rank == 4
        await pilot.press("escape", "home", "i")
        assert isinstance(app.screen, ByImageScreen)
        assert app.screen.image.path == store.image_name(int(store.top(store.unit(UNIT)).image[0]))
        await pilot.press("escape")
        await press(app, pilot, "end", "j")
        assert str(app.units.unit) == "Tiny/block1/3", "j and k are of units, wherever the focus is"
        assert grid.cursor == 0
        await press(app, pilot, "tab")
        assert app.units.has_focus
        await press(app, pilot, "shift+tab")
        assert grid.has_focus


@pytest.mark.parametrize("graphics", DRAWN)
async def test_the_mouse_moves_the_cursor(store: Store, graphics: Graphics) -> None:
    async with exploring(store, graphics, unit=UNIT) as (app, pilot):
        grid, layout = app.panel.grid, app.panel.grid.grid_layout()
        assert layout is not None
        x, y = layout.cell_of(1)
        await pilot.hover(grid, (x + 1, y + layout.tile_rows))
        assert grid.cursor == 1
        await pilot.hover(grid, (x - 1, y))
        assert grid.cursor == 1, "between tiles it stays"


async def test_in_zoom_the_arrows_are_of_images_and_in_twins_enter_opens(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "down", "down", "j")
        assert isinstance(app.screen, ZoomScreen)
        assert str(app.screen.panel.unit) == "Tiny/block1/3"
        await pilot.press("down", "enter")
        assert isinstance(app.screen, ImageScreen)
        assert app.screen.rank == 1
        await pilot.press("escape", "escape", "t")
        assert isinstance(app.screen, TwinsScreen)
        app.screen.panel.grid.focus()
        await pilot.pause()
        await pilot.press("down", "enter")
        assert isinstance(app.screen, ImageScreen)
        assert app.screen.rank == 1
