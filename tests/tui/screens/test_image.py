"""One image of a unit: how it is reached, what it says, where it leads."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from shapebias.core.analysis.by_image import decisions_on
from shapebias.core.numbers import number_text
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.image import ImageScreen
from shapebias.tui.screens.zoom import ZoomScreen
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, frame, settled
from tests.support.layer_values import set_values

pytestmark = pytest.mark.slow

UNIT = "Tiny/block2/3"


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def image_screen(app: Explorer) -> ImageScreen:
    assert isinstance(app.screen, ImageScreen)
    return app.screen


def facts(screen: ImageScreen) -> list[str]:
    return str(screen.query_one(".facts").render()).splitlines()


async def pictured(screen: ImageScreen, pilot: Pilot[None]) -> int:
    """Return how many tiles the picture of the shown image has, once it is there."""
    for _ in range(200):
        await pilot.pause(0.01)
        picture = screen.grid.picture
        if picture is not None and picture.request.subject == UnitImage(screen._unit, screen.rank):
            return len(picture.pieces)
    raise AssertionError("the picture never came")


async def test_enter_twice_shows_the_strongest_image_with_its_map(store: Store) -> None:
    unit = store.unit(UNIT)
    top = store.top(unit)
    async with exploring(store, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "enter")
        await pilot.pause()
        screen = image_screen(app)
        assert await pictured(screen, pilot) == 2, "the image and its map"
        value, named, decided = facts(screen)
        assert frame(screen._frame).startswith(f"{UNIT}  image 1 of 6")
        assert value.startswith(
            f"activation {number_text(float(top.value[0]))}, 1 of its max, the maximum at y {top.position[0, 0]}"
        )
        assert named == f"{store.image_name(int(top.image[0]))}  {store.class_of(int(top.image[0]))}"
        decision = decisions_on(store, screen.image)["Tiny"]
        assert decided == f"Tiny predicts {decision.name} ({decision.verdict}, {decision.probability:.2f})"
        await pilot.press("escape")
        assert isinstance(app.screen, ZoomScreen)
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_keys_walk_the_images_and_stop_at_the_ends(store: Store) -> None:
    top = store.top(store.unit(UNIT))
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "3")
        await pilot.pause()
        screen = image_screen(app)
        assert screen.rank == 2
        for keys, rank in (
            (["right"], 3),
            (["j"], 4),
            (["down", "space", "right"], 5),
            (["left", "k", "up"], 2),
            (["home"], 0),
            (["left"], 0),
            (["G"], 5),
            (["g"], 0),
            (["end"], 5),
        ):
            await pilot.press(*keys)
            assert screen.rank == rank, keys
            assert f"image {rank + 1} of 6" in frame(screen._frame)
            assert f"activation {number_text(float(top.value[rank]))}, " in facts(screen)[0]
        await pilot.press("enter")
        assert isinstance(app.screen, ZoomScreen)
        await pilot.press("9")
        assert image_screen(app).rank == 5, "there are no more"


@pytest.mark.parametrize("graphics", [Graphics.SIXEL, Graphics.NONE])
async def test_a_click_on_an_image_opens_it(store: Store, graphics: Graphics) -> None:
    async with exploring(store, graphics, unit=UNIT) as (app, pilot):
        layout = app.panel.grid.grid_layout()
        assert layout is not None
        x, y = layout.cell_of(1) if graphics is Graphics.SIXEL else (0, 1)
        await pilot.click(app.panel.grid, offset=(x + 1, y))
        await pilot.pause()
        assert image_screen(app).rank == 1
        await pilot.press("escape")
        await pilot.click(app.panel.grid, offset=(1, app.panel.grid.size.height - 1))
        await pilot.pause()
        assert len(app.screen_stack) == 1, "no image is there"


async def test_without_graphics_the_map_is_drawn_with_characters(store: Store) -> None:
    async with exploring(store, Graphics.NONE, (60, 15), UNIT) as (app, pilot):
        app.action_screen("image")
        await pilot.pause()
        drawn = str(image_screen(app).grid.render()).splitlines()
        assert len(drawn) == 8, "an 8 x 8 map"
        assert {len(line) for line in drawn} == {16}
        assert "█" in "".join(drawn), "where its maximum is"


async def test_the_key_i_shows_which_other_units_fire_on_the_image(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "2", "i")
        await pilot.pause()
        assert isinstance(app.screen, ByImageScreen)
        assert app.screen.image.path == store.image_name(int(store.top(store.unit(UNIT)).image[1]))
        await pilot.press("escape")
        assert image_screen(app).rank == 1


async def test_a_unit_without_images_says_so(store_copy: Path) -> None:
    set_values(store_copy, ("Tiny", "block1"), "top/image", 0, -1)
    async with exploring(open_store(store_copy), Graphics.NONE) as (app, pilot):
        await pilot.press("enter", "enter")
        await settled(app, pilot)
        assert isinstance(app.screen, ZoomScreen)
        await pilot.press("escape", "i")
        await pilot.pause(0.1)
        assert isinstance(app.screen, ByImageScreen), "at the first image"
