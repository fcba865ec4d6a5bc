"""The content of a screen as a page to send."""

from pathlib import Path

import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Input

from shapebias.core.pictures.tiles import View
from shapebias.core.report.page import excerpt_html
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.marks import Marks
from shapebias.tui.app import Explorer
from shapebias.tui.screens import SCREENS
from shapebias.tui.screens.ask import AskScreen
from shapebias.tui.screens.pages import units_page
from shapebias.tui.terminal.graphics import Graphics
from tests.core.report.test_page import Elements
from tests.support.explorer_pilot import exploring, press, status
from tests.support.hostile_store import CLOSING, MARKUP, hostile_copy

pytestmark = pytest.mark.slow


@pytest.fixture
def store(attributed_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return open_store(attributed_store)


async def ask(pilot: Pilot[None], app: Explorer) -> AskScreen:
    await pilot.press("E")
    await pilot.pause(0.05)
    assert isinstance(app.screen, AskScreen)
    return app.screen


async def written(app: Explorer, pilot: Pilot[None], path: Path) -> str:
    for _ in range(600):
        await pilot.pause(0.01)
        if path.exists():
            await app.workers.wait_for_complete()
            return path.read_text("utf-8")
    raise AssertionError("nothing was written")


# By the keys that lead there: the name of the page, what is on it, and how many pictures.
PAGES = {
    "": ("Tiny-block3-5", ["Numbers", "Strongest images", "as it was sorted"], 1),
    "enter": ("Tiny-block3-5", ["Numbers", "Strongest images"], 1),
    "d": ("Tiny-block3-5", ["Numbers"], 1),
    "t": ("Tiny-block3-5-twins", ["correlation 0."], 4),
    "l": ("block3", ["How each metric spreads", "Median over the living units", "Smoothest"], 8),
    "o": ("models", ["weights"], 0),
    "X": ("scatter-class_diversity-smoothness", ["Class diversity against smoothness"], 1),
    "h": ("histogram-block3-smoothness", ["How smoothness spreads"], 1),
    "T": ("Tiny-block3-5-Tiny-block1-0", ["Numbers"], 2),
    "i": ("image-*", ["What fires on it", "Decisions"], 2),
    "a": ("image-*", ["probability"], 3),
    "enter enter": ("image-*", ["where Tiny/block3/5 fires"], 3),
}


async def test_every_screen_has_a_page(store: Store, tmp_path: Path) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        for keys, (name, texts, pictures) in PAGES.items():
            await press(app, pilot, *keys.split())
            await app.workers.wait_for_complete()
            await pilot.pause(0.1)
            made = app._page
            assert made is not None
            assert Path(made.name).match(name)
            page = excerpt_html(made.make())
            elements = Elements(page)
            assert all(one in page for one in texts), [one for one in texts if one not in page]
            assert len(elements.all("img")) >= pictures
            assert "://" not in page.replace("http://www.w3.org", "")
            assert str(tmp_path) not in page, "no folder of the user's"
            while len(app.screen_stack) > 1:
                await pilot.press("escape")


async def test_a_page_is_written(store: Store, tmp_path: Path) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("enter")
        await pilot.pause(0.1)
        await ask(pilot, app)
        await pilot.press("enter")
        page = await written(app, pilot, tmp_path / "Tiny-block3-5.html")
        assert "Tiny/block3/5" in page
        assert len(app.screen_stack) == 2, "back on the screen that it is of"


def test_the_table_of_pages_has_every_screen() -> None:
    opened = {
        "zoom": "enter",
        "details": "d",
        "layer": "l",
        "models": "o",
        "twins": "t",
        "scatter": "X",
        "histogram": "h",
        "two_layers": "T",
    }
    images = {"image": "enter enter", "by_image": "i", "attribution": "a"}
    assert set(SCREENS) - {"help", "columns"} <= set(opened | images)
    assert set((opened | images).values()) <= set(PAGES)


async def test_two_units_side_by_side_are_one_page(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block1/2") as (app, pilot):
        await press(app, pilot, "x", "j", "x")
        await pilot.pause(0.1)
        made = app._page
        assert made is not None
        assert made.name == "Tiny-block1-2-Tiny-block1-3"
        assert len(Elements(excerpt_html(made.make())).all("img")) == 2


async def test_markdown_has_its_pictures_beside_it(store: Store, tmp_path: Path) -> None:
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        asked = await ask(pilot, app)
        asked.prompt.query_one(Input).value = "page.md"
        await pilot.press("enter")
        page = await written(app, pilot, tmp_path / "page.md")
        assert "saved" in status(app)
    assert page.startswith("# Tiny/block3/5")
    assert "](page-pictures/unit-0-2-5.png)" in page
    assert Image.open(tmp_path / "page-pictures/unit-0-2-5.png").width > 300


async def test_nothing_is_written_over(store: Store, tmp_path: Path) -> None:
    (tmp_path / "Tiny-block3-5.html").write_text("mine")
    (tmp_path / "page-pictures").mkdir()
    async with exploring(store, Graphics.NONE, unit="Tiny/block3/5") as (app, pilot):
        asked = await ask(pilot, app)
        line = asked.prompt.query_one(Input)
        assert line.value == "Tiny-block3-5-2.html", "a name that is free"
        for name, problem in (
            ("Tiny-block3-5.html", "is there already"),
            ("page.md", "is there already"),
            ("page.txt", ".html"),
            ("", ".html"),
        ):
            line.value = name
            await pilot.press("enter")
            assert problem in str(asked.prompt.query_one(".hint").render())
        await pilot.press("escape")
        assert len(app.screen_stack) == 1
        assert not app.prompt.display
    assert (tmp_path / "Tiny-block3-5.html").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


async def test_where_there_is_nothing_to_send_it_is_not_offered(store: Store) -> None:
    async with exploring(store, Graphics.NONE) as (app, pilot):
        for keys in ("question_mark", "c"):
            await pilot.press(keys, "E")
            await pilot.pause(0.05)
            assert not isinstance(app.screen, AskScreen)
            await pilot.press("escape")


def test_names_and_notes_are_text(concept_store: Path, tmp_path: Path) -> None:
    store = open_store(hostile_copy(concept_store, tmp_path / "hostile.zarr"))
    unit = store.unit(f"{MARKUP}/block3/0")
    Marks(store).set(unit, CLOSING)
    page = units_page(store, [unit], View.CROP)
    assert page.name == "img-src-x-onerror-alert-owned-block3-0"
    elements = Elements(excerpt_html(page.make()))
    assert len(elements.all("script")) == 1
    assert all("onerror" not in one and "onload" not in one for _, one in elements.opened)
