"""The explorer through Textual's Pilot: every key, on the small store (3 layers, 70 units)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from textual.widgets._toast import Toast

from shapebias.core.analysis.dissection import concepts_of
from shapebias.core.analysis.histogram import activation_histogram
from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text
from shapebias.core.pictures.tiles import View
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.screens.help import HelpScreen, metrics_text
from shapebias.tui.screens.zoom import ZoomScreen
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, press, settled
from tests.support.old_store import as_version_1


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


async def test_starts_at_the_first_unit_with_its_picture(store: Store) -> None:
    async with exploring(store) as (app, _):
        assert str(app.units.unit) == "Tiny/block1/0"
        picture = app.panel.grid.picture
        assert picture is not None
        assert len(picture.pieces) == 6, "a tile for each of the six top images"
        assert app.focused is app.units


async def test_starts_at_the_unit_asked_for(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/32") as (app, _):
        assert str(app.units.unit) == "Tiny/block3/32"
        region = app.units.visible_row_region()
        assert 1 <= region.y < app.units.size.height, "the cursor is in sight"


async def test_moves_by_keys(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/0", size=(160, 20)) as (app, pilot):
        for keys, row in (
            (["j"], 1),
            (["down", "j"], 3),
            (["k"], 2),
            (["up", "up", "up"], 0),
            (["G"], 32),
            (["j"], 32),
            (["g"], 0),
            (["end"], 32),
            (["home"], 0),
        ):
            await press(app, pilot, *keys)
            assert app.units.cursor == row, keys
            assert app.panel.grid.picture is not None
            assert app.panel.grid.picture.request.subject.index == row
        await press(app, pilot, "ctrl+d")
        below = app.units.cursor
        assert below > 5
        await press(app, pilot, "ctrl+u")
        assert app.units.cursor == 0


async def test_sorts_both_ways_and_keeps_the_unit(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        values = store.metric("Tiny", "block3", "smoothness")
        await press(app, pilot, "s")
        assert app.units.sort_by == "smoothness"
        order = [app.units.unit_at(row).index for row in range(33)]  # type: ignore[union-attr]
        assert order == np.argsort(-values, kind="stable").tolist()
        assert app.units.unit is not None
        assert app.units.unit.index == 5
        await press(app, pilot, "r")
        order = [app.units.unit_at(row).index for row in range(33)]  # type: ignore[union-attr]
        assert order == np.argsort(values, kind="stable").tolist()
        assert app.units.unit is not None
        assert app.units.unit.index == 5
        await press(app, pilot, "S")
        assert app.units.sort_by == "unit"


async def test_a_click_on_a_header_sorts_and_again_reverses(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        header = app.units.render_line(0).text
        position = (header.index("classes") + 1, 1)  # inside the frame
        await pilot.click("#units", offset=position)
        assert (app.units.sort_by, app.units.ascending) == ("class_diversity", False)
        assert "↓" in app.units.render_line(0).text
        await pilot.click("#units", offset=position)
        assert (app.units.sort_by, app.units.ascending) == ("class_diversity", True)


async def test_a_click_on_a_row_moves_there(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.click("#units", offset=(5, 5))
        await settled(app, pilot)
        assert app.units.cursor == 3


async def test_layers_by_brackets_and_by_the_tree(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await press(app, pilot, "right_square_bracket")
        assert str(app.units.unit) == "Tiny/block2/0"
        await press(app, pilot, "left_square_bracket", "left_square_bracket")
        assert str(app.units.unit) == "Tiny/block1/0"
        await pilot.press("tab")
        assert app.focused is app.layers
        await press(app, pilot, "j", "j")
        assert app.units.unit is not None
        assert app.units.unit.layer == "block3"
        await pilot.press("enter")
        assert app.focused is app.units


async def test_views_take_turns(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        seen = [app.panel.grid.view]
        pictures = [app.panel.grid.picture]
        for _ in range(3):
            await pilot.press("v")
            for _ in range(100):
                await pilot.pause(0.01)
                picture = app.panel.grid.picture
                if picture is not None and picture.request.view is app.panel.grid.view:
                    break
            seen.append(app.panel.grid.view)
            pictures.append(app.panel.grid.picture)
        assert seen == [View.CROP, View.MASK, View.WHOLE, View.CROP]
        tiles = [picture.pieces for picture in pictures if picture is not None]
        assert tiles[0] != tiles[1] != tiles[2] != tiles[0]
        assert tiles[0] == tiles[3]


async def test_finds_a_unit_and_the_next_match(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/0") as (app, pilot):
        await pilot.press("slash", *"21", "enter")
        await settled(app, pilot)
        assert app.units.cursor == 21
        await pilot.press("slash", *"3", "enter")
        await settled(app, pilot)
        assert app.units.cursor == 3
        await pilot.press("slash", *"99", "enter")
        await pilot.pause()
        assert app.units.cursor == 3
        await pilot.press("slash", "escape")
        assert app.focused is app.units
        assert not app.prompt.display


async def test_help_opens_closes_and_names_every_metric(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        explained = Console(width=100)
        with explained.capture() as capture:
            explained.print(metrics_text())
        for metric in METRICS.values():
            assert metric.low in capture.get()
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


async def test_zoom_moves_and_goes_back(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert isinstance(app.screen, ZoomScreen)
        await pilot.press("j", "tab", "slash")  # the last two belong to the panes below, and do nothing
        await pilot.pause(0.1)
        assert isinstance(app.screen, ZoomScreen)
        assert app.units.cursor == 1
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_q_quits(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (100, 30), (20, 6)])
async def test_small_terminals_are_usable(store: Store, size: tuple[int, int]) -> None:
    async with exploring(store, size=size) as (app, pilot):
        await press(app, pilot, "j", "s", "G", "enter")
        assert isinstance(app.screen, ZoomScreen)
        await pilot.pause(0.05)
        card = str(app.screen.panel.query_one(".card").render()).splitlines()
        assert card[1].startswith("smooth "), "the numbers are below the strongest image"
        assert "classes" in card[1] or size[0] in (20, 100), "that is the next column of the card, if there is room"
        await pilot.press("escape", "v", "question_mark", "escape")
        assert app.units.region.right <= size[0], "nothing is beyond the edge"
        assert app.panel.region.right <= size[0]


async def test_without_graphics_the_images_are_listed(store: Store) -> None:
    async with exploring(store, Graphics.NONE) as (app, _):
        top = store.top(app.units.unit)  # type: ignore[arg-type]
        listing = str(app.panel.grid.render())
        assert store.image_name(int(top.image[0])) in listing
        assert number_text(float(top.value[0])) in listing


@pytest.mark.parametrize("graphics", [Graphics.HALFCELL, Graphics.KITTY, Graphics.ITERM2])
async def test_the_other_graphics_make_a_grid(store: Store, graphics: Graphics) -> None:
    async with exploring(store, graphics) as (app, pilot):
        picture = app.panel.grid.picture
        assert picture is not None
        layout = app.panel.grid.grid_layout()
        assert layout is not None
        if graphics is Graphics.HALFCELL:
            assert len(picture.cells) == 6
            assert {len(row) for tile in picture.cells for row in tile} == {layout.tile_columns}
        else:
            assert len(picture.pieces) == 6
        await press(app, pilot, "j")


async def test_a_damaged_layer_is_said_and_the_app_goes_on(store_copy: Path) -> None:
    early = as_version_1(store_copy, store_copy.with_name("early.zarr"))
    shutil.rmtree(early / "models/Tiny/layers/block2/metrics/max/c")
    async with exploring(open_store(early)) as (app, pilot):
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert str(app.units.unit) == "Tiny/block1/0"
        await press(app, pilot, "j")
        assert str(app.units.unit) == "Tiny/block1/1"


async def test_a_damaged_thumbnail_is_said_where_the_picture_would_be(store_copy: Path) -> None:
    for chunk in (store_copy / "images/probe/thumbnails").glob("*/data/c/*"):
        chunk.write_bytes(bytes(100))
    async with exploring(open_store(store_copy)) as (app, pilot):
        picture = app.panel.grid.picture
        assert picture is not None
        assert "damaged" in picture.error
        await press(app, pilot, "j")


@pytest.mark.parametrize("size", [(160, 48), (100, 30)])
async def test_messages_do_not_lie_under_the_pictures(store: Store, size: tuple[int, int]) -> None:
    async with exploring(store, size=size) as (app, pilot):
        app.notify("a message as long as a sentence is, so that it takes all the width that there is for it")
        await pilot.pause(0.1)
        assert app.query_one(Toast).region.right <= app.panel.region.x


@contextmanager
def counted(app: Explorer) -> Iterator[list[int]]:
    """Counts the pictures handed to the terminal."""
    counts = [0]
    grid = app.panel.grid
    paint = grid.paint

    def counting() -> None:
        counts[0] += 1
        paint()

    grid.paint = counting  # type: ignore[method-assign]
    yield counts
    grid.paint = paint  # type: ignore[method-assign]


async def test_a_new_picture_of_the_same_size_is_painted_once(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.pause(0.2)
        with counted(app) as counts:
            await press(app, pilot, "j")
            await pilot.pause(0.2)
        assert counts == [1]


async def test_what_was_damaged_before_a_picture_is_painted_is_not_painted_again(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.pause(0.2)
        with counted(app) as counts:
            app.panel.grid.repair()
            app.panel.grid.paint()
            await pilot.pause(0.2)
            assert counts == [1]
            app.panel.grid.repair()
            await pilot.pause(0.2)
            assert counts == [2]


async def test_a_unit_at_rest_is_looked_at_closer(concept_store: Path) -> None:
    store = open_store(concept_store)
    async with exploring(store, unit="Tiny/block2/3") as (app, pilot):
        for _ in range(100):
            await pilot.pause(0.02)
            lines = str(app.panel.query_one(".card").render()).splitlines()
            if len(lines) == 9:
                break
        binned = activation_histogram(store, store.unit("Tiny/block2/3"), 8)
        assert binned is not None
        assert set(lines[6]) <= set(" ▁▂▃▄▅▆▇█")
        assert lines[7].startswith("0 ─")
        assert lines[7].endswith(f" {number_text(binned.high)}")
        name, _, iou = concepts_of(store, store.unit("Tiny/block2/3"))[0]
        assert lines[8].startswith(f" {name} ")
        assert f"{iou:.2f}".removeprefix("0") in lines[8]
