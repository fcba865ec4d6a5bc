"""The filter line: live, with its mistakes pointed at, and the cursor where it was."""

import time
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Input

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.filter import filter_mask
from shapebias.core.units.table import UnitTable, load_units
from tests.support.explorer_pilot import exploring, frame, hint, press, shown, status, write

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def matching(store: Store, condition: str) -> list[int]:
    return np.flatnonzero(filter_mask(condition, load_units(store, "Tiny", "block3"))).tolist()


async def test_filters_while_it_is_written_and_stays_after_enter(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        condition = "top 8 max or unit = 5"
        wanted = matching(store, condition)
        assert 5 in wanted
        await pilot.press("f", *condition)
        assert shown(app) == wanted
        assert str(app.units.unit) == "Tiny/block3/5", "the cursor is still on its unit"
        assert f"{len(wanted)} of 33 units" in hint(app)
        await pilot.press("enter")
        assert not app.prompt.display
        assert app.focused is app.units
        assert f"filter: {condition}" in status(app)
        assert f"{len(wanted)} of 33" in frame(app.units)
        await press(app, pilot, "s")
        values = store.metric("Tiny", "block3", "smoothness")
        assert shown(app) == sorted(wanted, key=lambda unit: (-values[unit], unit)), "sorting keeps the filter"
        assert str(app.units.unit) == "Tiny/block3/5"
        await press(app, pilot, "left_square_bracket", "right_square_bracket")
        assert sorted(shown(app)) == wanted, "other layers are filtered too"


async def test_escape_clears_it_in_the_line_and_in_the_table(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit < 3")
        assert shown(app) == [0, 1, 2]
        await press(app, pilot, "escape")
        assert len(shown(app)) == 33
        assert str(app.units.unit) == "Tiny/block3/5", "back where it was before"
        assert app.focused is app.units
        await pilot.press("f")
        await write(app, pilot, "unit < 3")
        await press(app, pilot, "enter", "j", "escape")
        assert len(shown(app)) == 33
        assert str(app.units.unit) == "Tiny/block3/1"
        assert "filter" not in status(app)
        assert "33 of 33" in frame(app.units)


async def test_a_mistake_is_pointed_at_and_the_last_filter_stays(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit < 9")
        await write(app, pilot, " and selectivty > 1")
        assert 'unknown metric "selectivty" at column 14: did you mean selectivity?' in hint(app)
        typed = app.prompt.query_one("Input")
        assert hint(app).index("▲") == typed.content_region.x + 13, "below the word's first letter"
        assert shown(app) == list(range(9))
        await pilot.press("enter")
        assert app.prompt.display, "it waits for a right one"
        await press(app, pilot, "escape")
        assert len(shown(app)) == 33


@pytest.mark.parametrize("width", [30, 60, 100])
async def test_a_mistake_is_said_at_any_width(store: Store, width: int) -> None:
    async with exploring(store, size=(width, 15)) as (app, pilot):
        await pilot.press("f")
        for text in ("max > many", " " * (width - 20) + "x", "y" * width):
            await write(app, pilot, text)
            assert "▲" in hint(app)


async def test_tab_completes_a_column(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "sel")
        await pilot.press("tab")
        assert app.prompt.query_one("Input").value == "selectivity"
        await write(app, pilot, " > 2 or s")
        await pilot.press("tab")
        assert app.prompt.query_one("Input").value == "selectivity > 2 or smoothness", "the first that fits"
        await write(app, pilot, " > 2 or smo")
        await pilot.pause(0.1)
        assert app.prompt.query_one(Input)._suggestion.endswith(" or smoothness"), "shown while it is typed"


async def test_no_match_is_said_and_the_keys_still_work(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "max < -1e9")
        await press(app, pilot, "enter")
        assert shown(app) == []
        assert "no unit matches" in app.units.render_line(1).text
        await press(
            app,
            pilot,
            "j",
            "G",
            "s",
            "r",
            "V",
            "m",
            "u",
            "E",
            "h",
            "T",
            "plus",
            "M",
            "p",
            "enter",
            "v",
            "greater_than_sign",
            "c",
            "escape",
        )
        await press(app, pilot, "left_square_bracket", "right_square_bracket", "escape")
        assert len(shown(app)) == 33


def million() -> UnitTable:
    rng = np.random.default_rng(0)
    index = np.arange(1_000_000, dtype=np.int32)
    columns = {name: rng.standard_normal(len(index)).astype(np.float32) for name in ("max", "std")}
    return UnitTable([("Tiny", "block1")], np.zeros(len(index), np.int32), index, columns)


async def test_a_million_units_are_sorted_and_filtered_without_a_pause(store: Store) -> None:
    table = million()
    async with exploring(store) as (app, pilot):
        app.units.show(table, None)
        unit = app.units.unit
        times: dict[str, list[float]] = {"sort": [], "filter": []}
        for _ in range(3):
            begun = time.process_time()
            app.units.sort("std", ascending=False)
            times["sort"].append(time.process_time() - begun)
            begun = time.process_time()
            app.units.filter(filter_mask("max > 1 or unit = 0", table), unit)
            times["filter"].append(time.process_time() - begun)
            assert app.units.unit == unit
            app.units.filter(None, unit)
        await pilot.pause()
        assert min(times["sort"]) < 0.15
        assert min(times["filter"]) < 0.15, times


async def test_filters_of_before_come_back_with_up_and_down(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        for condition in ("unit < 3", "unit < 9"):
            await pilot.press("f")
            app.prompt.query_one(Input).value = condition
            await pilot.press("enter")
        await press(app, pilot, "escape")
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "max")
        for key, text in (("up", "unit < 9"), ("up", "unit < 3"), ("up", "unit < 3"), ("down", "unit < 9")):
            await pilot.press(key)
            assert app.prompt.query_one(Input).value == text
        assert shown(app) == list(range(9)), "as if it were typed"
        await pilot.press("down")
        assert app.prompt.query_one(Input).value == "max", "what was begun"
        await pilot.press("escape", "slash", "up")
        assert app.prompt.query_one(Input).value == "", "filters are for filters"


async def test_a_filter_is_saved_by_name_and_recalled(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "@few = unit < 9 and unitt > 3")
        typed = app.prompt.query_one(Input)
        assert hint(app).index("▲") == typed.content_region.x + len("@few = unit < 9 and "), "at its place in the line"
        typed.value = "@few = unit < 9"
        await pilot.pause()
        assert "Enter saves it as @few" in hint(app)
        await pilot.press("enter")
        assert shown(app) == list(range(9))
        assert "@few is unit < 9" in status(app)
        assert "filter: @few" in status(app)
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit > 3 and @f")
        await pilot.press("tab")
        assert shown(app) == [4, 5, 6, 7, 8], "completed, and taken"
        await press(app, pilot, "enter", "left_square_bracket")
        assert shown(app) == [4, 5, 6, 7, 8], "in other layers, too"
        await press(app, pilot, "f")
        app.prompt.query_one(Input).value = "@few ="
        await pilot.pause()
        assert "Enter forgets @few" in hint(app)
        await press(app, pilot, "enter")
        assert app.session.filters.by_name == {}
        assert len(shown(app)) > 9
