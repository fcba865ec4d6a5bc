"""The screen "by image": the image, the units that fire on it, and the way to them."""

import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from shapebias.core.analysis.by_image import ImageName, on_image
from shapebias.core.numbers import number_text
from shapebias.core.pictures.tiles import Photo
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, frame, settled

pytestmark = pytest.mark.slow

UNIT = "Tiny/block2/3"


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


async def opened(app: Explorer, pilot: Pilot[None]) -> ByImageScreen:
    await pilot.press("i")
    await pilot.pause()
    assert isinstance(app.screen, ByImageScreen)
    await read(app.screen, pilot)
    return app.screen


async def read(screen: ByImageScreen, pilot: Pilot[None]) -> None:
    """Waits until the images are listed and the chosen one is shown."""
    for _ in range(300):
        await pilot.pause(0.01)
        if screen.results and screen._reading is None and screen.list.row_count + ("no image" in listed(screen)):
            return
    raise AssertionError("it was never read")


def said(screen: ByImageScreen) -> str:
    return f"{frame(screen.query_one('.image'))} {screen.query_one('.facts').render()}"


def listed(screen: ByImageScreen) -> str:
    return "\n".join(screen.list.render_line(y).text for y in range(screen.list.size.height))


def units(screen: ByImageScreen, model: str) -> list[str]:
    options = screen.columns[model].units
    return [str(options.get_option_at_index(index).prompt) for index in range(options.option_count)]


async def find(screen: ByImageScreen, pilot: Pilot[None], text: str) -> None:
    screen.query_one(Input).insert_text_at_cursor(text)
    await pilot.pause()
    await read(screen, pilot)


async def test_starts_at_the_units_strongest_image_with_the_unit_under_the_cursor(store: Store) -> None:
    unit = store.unit(UNIT)
    number = int(store.top(unit).image[0])
    async with exploring(store, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        name = ImageName(store.image_name(number), store.class_of(number), False)
        assert screen.image == screen.list.name_at(screen.list.cursor) == name
        assert name.path in said(screen)
        assert name.about in said(screen)
        assert screen.results == on_image(store, name)
        expected = [one for responses in screen.results[0].layers.values() for one in responses]
        for line, firing in zip(units(screen, "Tiny"), expected, strict=True):
            assert f"{firing.unit.index:>5}  {number_text(firing.relative):>6}" in line
            assert line.endswith(number_text(firing.activation))
        assert screen.column.firing is not None
        assert screen.column.firing.unit == unit
        assert screen.photo.display
        for _ in range(100):
            await pilot.pause(0.01)
            if screen.photo.picture is not None:
                break
        assert screen.photo.picture is not None
        assert screen.photo.picture.request.subject == Photo("Tiny", number)
        assert len(screen.photo.picture.pieces) == 1


async def test_enter_goes_to_the_unit(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        expected = [one.unit for responses in screen.results[0].layers.values() for one in responses]
        row = expected.index(store.unit(UNIT))
        await pilot.press("j", "down", "k", "j", "up", "j")
        assert screen.column.firing is not None
        assert screen.column.firing.unit == expected[row + 2]
        assert str(screen.panel._unit) == str(expected[row + 2])
        await pilot.press("v", "enter")
        await settled(app, pilot)
        assert len(app.screen_stack) == 1
        assert app.units.unit == expected[row + 2]


async def test_an_image_is_found_by_what_is_typed(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("slash")
        assert screen.query_one(Input).has_focus
        await find(screen, pilot, "class3")
        assert "5 of 50" in frame(screen.query_one(".find"))
        assert screen.image.path == "class3/image0.png", "the first of those found"
        await pilot.press("down", "down", "up", "down")
        await read(screen, pilot)
        assert screen.image.path == "class3/image2.png"
        assert screen.results == on_image(store, screen.image)
        await pilot.press("enter")
        assert screen.column.units.has_focus
        await pilot.press("n", "n", "N")
        await read(screen, pilot)
        assert screen.image.path == "class3/image3.jpg"
        await pilot.press("tab", "pagedown")
        await read(screen, pilot)
        assert screen.image.path == "class3/image4.png"
        await pilot.press("pageup", "escape")
        assert screen.is_attached, "Escape leaves the line first"
        await pilot.press("escape")
        assert len(app.screen_stack) == 1
        assert str(app.units.unit) == UNIT


async def test_a_click_chooses_an_image_and_no_match_is_said(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        first = int(screen.list.scroll_offset.y)
        await pilot.click(screen.list, offset=(3, 4))
        await read(screen, pilot)
        assert screen.image == screen.list.name_at(first + 4)
        before = screen.image
        await pilot.press("slash")
        await find(screen, pilot, "nothing such")
        assert "no image matches" in listed(screen)
        assert screen.image == before
        await pilot.press("down", "enter", "n", "i")
        assert len(app.screen_stack) == 1


async def test_two_models_have_a_column_each(small_store: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(small_store, tmp_path / "other.zarr"))
    joined = open_stores([small_store, other])
    async with exploring(joined, Graphics.NONE, unit="Tiny@other/block2/3") as (app, pilot):
        screen = await opened(app, pilot)
        assert screen.column is screen.columns["Tiny@other"]
        numbers = {
            model: [re.sub("[▏▎▍▌▋▊▉█]", "", line).split() for line in units(screen, model)] for model in joined.models
        }
        assert numbers["Tiny"] == numbers["Tiny@other"], "bars may differ, as one column is a cell wider"
        await pilot.press("right")
        assert screen.column is screen.columns["Tiny"]
        await pilot.press("h", "l", "left")
        assert screen.column is screen.columns["Tiny@other"]
        await pilot.press("enter")
        await settled(app, pilot)
        assert str(app.units.unit) == "Tiny@other/block2/3"


async def test_cue_conflict_images_show_decisions(cue_conflict_store: Path) -> None:
    async with exploring(open_store(cue_conflict_store), Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("slash")
        await find(screen, pilot, "dog texture")
        assert "cue-conflict image" in said(screen)
        assert "cat shape, dog texture" in said(screen)
        assert "a store keeps both for probe images only" in said(screen)
        assert "predicts cat (shape)" in str(screen.columns["Tiny"].query("Static").first().render())
        assert units(screen, "Tiny") == []
        assert not screen.photo.display
        await pilot.press("enter", "j", "enter", "escape")
        assert len(app.screen_stack) == 1


async def test_what_a_store_lacks_is_said_and_nothing_fails(store_copy: Path) -> None:
    shutil.rmtree(store_copy / "models/Tiny/activations")
    shutil.rmtree(store_copy / "models/Tiny/decision")
    async with exploring(open_store(store_copy), Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        assert "--activations none" in said(screen)
        assert "no class scores" in said(screen)
        await pilot.press("j", "enter", "n", "right", "v")
        await read(screen, pilot)


async def test_damage_is_said(store_copy: Path) -> None:
    for chunk in (store_copy / "models/Tiny/activations/max").glob("c/*/*"):
        chunk.write_bytes(b"\xff" * 40)
    async with exploring(open_store(store_copy), Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("i")
        for _ in range(100):
            await pilot.pause(0.01)
            if "damaged" in str(app.screen.query_one(".facts").render()):
                break
        assert "damaged" in str(app.screen.query_one(".facts").render())
        await pilot.press("n", "escape")
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize("size", [(160, 48), (100, 30), (20, 6)])
async def test_every_size_shows_units_and_finds_images(store: Store, size: tuple[int, int]) -> None:
    async with exploring(store, Graphics.NONE, size, UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        assert screen.list.is_on_screen == (size[0] >= 112)
        assert screen.panel.display == (size[0] >= 76)
        if size[1] > 6:
            assert screen.column.units.size.height >= 5
        await pilot.press("slash")
        await pilot.pause()
        assert screen.list.size.height >= size[1] - 4
        assert screen.list.region.right <= size[0]
        await pilot.press("escape")
        await pilot.pause()
        assert screen.column.units.has_focus


async def test_fifty_thousand_images_are_instant(store: Store) -> None:
    names = [
        ImageName(f"class{number % 1000}/{number:06}.jpg", f"a class {number % 1000}", False)
        for number in range(50_000)
    ]
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await opened(app, pilot)
        assert screen._images is not None
        screen._images.names = names
        screen._images.__dict__.pop("_texts", None)
        screen._images.find("x")  # the first search folds the case of all
        start = time.perf_counter()
        rows = screen._images.find("class999")
        screen.list.show(names, rows, names[-1])
        lines = listed(screen)
        assert time.perf_counter() - start < 0.25
        assert len(rows) == 50
        assert "049999.jpg" in lines
        screen.list.show(names, np.arange(50_000), names[0])
        screen.list.action_jump(-1)
        assert screen.list.cursor == 49_999
        assert "049999.jpg" in listed(screen).splitlines()[-1]
