"""Marks, notes, columns, what is saved and what is remembered, by the explorer's keys."""

import csv
from pathlib import Path

import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import OptionList

from shapebias.core.pictures.tiles import View
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.marks import Marks
from shapebias.tui.app import Explorer
from shapebias.tui.screens.columns import ColumnsScreen
from shapebias.tui.screens.zoom import ZoomScreen
from tests.support.explorer_pilot import exploring, frame, hint, press, status, units_in_table, write

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return open_store(small_store)


def on_disk(store: Store) -> dict[str, str]:
    marks = Marks(store)
    marks.load()
    return {str(unit): marks.note(unit) for unit in marks.units()}


async def saved(app: Explorer, pilot: Pilot[None]) -> str:
    """Waits until a file is saved; what the status line says then."""
    for _ in range(300):
        await pilot.pause(0.01)
        if "saved " in status(app):
            return status(app).split("saved ")[1].split("   ")[0].strip()
    raise AssertionError(f"nothing was saved: {status(app)}")


async def test_m_marks_and_takes_the_mark_away(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        assert "●" not in app.units.render_line(6).text
        await pilot.press("m")
        assert app.units.render_line(6).text.startswith("●")
        assert on_disk(store) == {"Tiny/block3/5": ""}
        await pilot.press("m")
        assert "●" not in app.units.render_line(6).text
        assert on_disk(store) == {}


async def test_a_range_is_marked_and_undone_as_one(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("j", "m", "k", "V", "j", "j")
        assert "3 units: m or Space marks them" in status(app)
        plain, chosen = app.units.render_line(2), app.units.render_line(7)
        assert plain._segments[0].style.bgcolor != chosen._segments[0].style.bgcolor, "the range is seen"  # type: ignore[union-attr]
        await pilot.press("space")
        assert on_disk(store).keys() == {f"Tiny/block3/{number}" for number in (5, 6, 7)}
        assert not app.units.has_range
        assert "2 units marked" in status(app)
        await pilot.press("k", "u")
        assert on_disk(store).keys() == {"Tiny/block3/6"}, "as it was before"
        await pilot.press("V", "k", "k", "m", "V", "j", "j", "m")
        assert on_disk(store) == {}, "all of them were marked"
        await pilot.press("u")
        assert on_disk(store).keys() == {f"Tiny/block3/{number}" for number in (4, 5, 6)}


async def test_a_range_ends_with_escape_and_where_rows_move(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit < 20")
        await press(app, pilot, "enter", "V", "G")
        assert len(app.units.selected) == 15
        for keys in (["escape"], ["V", "j", "s"], ["V", "left_square_bracket"], ["V", "V"]):
            await press(app, pilot, *keys)
            assert not app.units.has_range
        assert "filter: unit < 20" in status(app), "Escape left the range alone"
        assert on_disk(store) == {}


async def test_a_note_is_written_shown_and_changed(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("M")
        await write(app, pilot, "red [dots] q")
        assert on_disk(store) == {}
        await pilot.press("enter")
        assert on_disk(store) == {"Tiny/block3/5": "red [dots] q"}
        assert "● red [dots] q" in frame(app.panel)
        await pilot.press("M", "backspace", "escape")
        assert on_disk(store) == {"Tiny/block3/5": "red [dots] q"}, "Escape leaves it"
        await pilot.press("M", "backspace", "backspace", "enter")
        assert on_disk(store) == {"Tiny/block3/5": "red [dots]"}
        assert app.focused is app.units


async def test_marks_of_the_last_run_are_there_and_the_next_is_found_in_any_layer(store: Store) -> None:
    for name in ("Tiny/block3/5", "Tiny/block1/11", "Tiny/block3/2"):
        Marks(store).set(store.unit(name))
    async with exploring(store) as (app, pilot):
        await press(app, pilot, "s")
        for key, unit in (
            (">", "Tiny/block1/11"),
            (">", "Tiny/block3/2"),
            (">", "Tiny/block3/5"),
            (">", "Tiny/block1/11"),
            ("<", "Tiny/block3/5"),
            ("<", "Tiny/block3/2"),
        ):
            await press(app, pilot, {">": "greater_than_sign", "<": "less_than_sign"}[key])
            assert str(app.units.unit) == unit
        assert "●" in app.units.render_line(app.units.visible_row_region().y).text


async def test_without_marks_it_is_said_how_to_mark(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await press(app, pilot, "greater_than_sign")
        assert "press m to mark one" in status(app)


async def test_marks_work_in_the_zoom_and_where_nothing_can_be_kept(store: Store, state_home: Path) -> None:
    (state_home / "shapebias").write_text("a file where the folder would be")
    async with exploring(store) as (app, pilot):
        await pilot.press("enter")
        await pilot.pause(0.1)
        await pilot.press("m", "v", "f", "c", "M")
        assert isinstance(app.screen, ZoomScreen), "prompts and lists belong to the panes below"
        assert "●" in frame(app.screen.panel)
        assert store.unit("Tiny/block1/0") in app.session.marks
        assert app.is_running


async def test_columns_are_hidden_shown_and_remembered(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        every = app.units.columns
        await press(app, pilot, "s")
        assert app.units.sort_by == "smoothness"
        await pilot.press("c", "space", "j", "j", "j", "space")
        assert isinstance(app.screen, ColumnsScreen)
        assert app.units.columns == [column for column in every if column not in ("smoothness", "visual_diversity")]
        assert app.units.sort_by == "unit", "what is not shown is not what it is sorted by"
        await press(app, pilot, "escape", "s")
        assert app.units.sort_by == "coherence"
        assert "diversity" not in app.units.render_line(0).text
    async with exploring(store) as (app, pilot):
        assert app.units.columns == [column for column in every if column not in ("smoothness", "visual_diversity")]
        await pilot.press("c", "a", "c")
        assert app.units.columns == every
        assert len(app.screen_stack) == 1


async def test_columns_are_made_wider_and_narrower_and_stay_so(store: Store) -> None:
    """The first metric is smoothness, with a title of six letters: its values need five cells."""
    async with exploring(store) as (app, pilot):
        usual = app.units.render_line(1).text
        await pilot.press("c", "right", "plus", "j", "right", "left")
        assert "smooth             9 " in str(app.screen.query_one(OptionList).get_option_at_index(0).prompt)
        await press(app, pilot, "escape")
        assert app.units.render_line(1).text.split()[1] == usual.split()[1]
        assert app.units.render_line(1).text.index(usual.split()[1]) == usual.index(usual.split()[1]) + 2
    async with exploring(store) as (app, pilot):
        assert app.session.settings.widths == {"smoothness": 9, "coherence": 9}
        await pilot.press("c", *["left"] * 5, "escape")
        assert app.units.render_line(1).text.split()[:2] == usual.split()[:2], "no narrower than its values"


async def test_view_and_theme_are_remembered(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        assert app.theme == "textual-dark"
        await press(app, pilot, "v")
        app.theme = "no-colour"
        await pilot.pause()
    async with exploring(store) as (app, pilot):
        assert app.theme == "no-colour"
        assert app.panel.grid.view is View.MASK


async def test_the_table_is_saved_as_it_is_shown(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit < 9")
        await press(app, pilot, "enter", "s", "c", "space", "escape")
        order = units_in_table(app)
        await pilot.press("e")
        path = Path(await saved(app, pilot))
    rows = list(csv.DictReader(path.open()))
    assert path.name == "Tiny-block3.csv"
    assert [int(row["unit"]) for row in rows] == order == list(range(9)), "the sort column was hidden"
    assert "smoothness" not in rows[0]
    assert "class_diversity" in rows[0]


async def test_the_picture_is_saved_in_the_view_that_is_shown(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("v", "p")
        path = Path(await saved(app, pilot))
        assert path.name == "Tiny-block3-5-mask.png"
        assert Image.open(path).format == "PNG"


async def test_every_command_of_the_palette_runs(store: Store) -> None:
    Marks(store).set(store.unit("Tiny/block1/1"))
    async with exploring(store) as (app, pilot):
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        metrics = len(store.metric_names("Tiny", "block1"))
        assert sum(title.startswith(("Sort", "Layer Tiny")) for title in commands) == 2 * metrics + 3
        for title, command in commands.items():
            if title.startswith(("Sort", "Layer Tiny", "Mark")):
                command.callback()
                await pilot.pause()
        assert app.units.unit is not None
        assert app.units.unit.layer == "block3"
        commands["Save the marks"].callback()
        assert Path(await saved(app, pilot)).read_text().startswith("# Marked units of small.zarr")
        commands["Write a note"].callback()
        assert "Escape" in hint(app)
        await pilot.press("escape")
        commands["Filter units"].callback()
        assert "Tab completes" in hint(app)
