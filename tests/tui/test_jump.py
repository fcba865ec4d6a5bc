"""The text typed after `/`: units and layers by name."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import UsageError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.jump import find_number, find_place
from tests.support.explorer_pilot import exploring, press, status, write

pytestmark = pytest.mark.slow


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("block2", ("block2", None)),
        (":block2", ("block2", None)),
        (" : block2/7 ", ("block2", 7)),
        ("Tiny/block2/7", ("block2", 7)),
        ("Tiny/block3", ("block3", None)),
        ("Tiny", ("block1", None)),
    ],
)
def test_names_lead_to_their_place(store: Store, text: str, target: tuple[str, int | None]) -> None:
    layer, index = target
    assert find_place(store, text, "Tiny") == (("Tiny", layer), index)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blok2", "did you mean block2?"),
        ("block2/99", "units 0 to 20"),
        ("Tony/block2/1", "did you mean Tiny?"),
        ("Tiny/blok2", "did you mean block2?"),
        ("a/b/c/d", "no model a"),
        ("\x1b[31m", "no layer in Tiny"),
        ("", "no layer"),
        ("/", "no layer"),
    ],
)
def test_what_is_not_there_is_said(store: Store, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"no|units") as error:
        find_place(store, text, "Tiny")
    assert said in str(error.value)
    assert str(error.value).isprintable()


async def test_goes_to_units_and_layers_by_name(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        for key, text, unit in (
            ("slash", "Tiny/block3/21", "Tiny/block3/21"),
            ("colon", "block2", "Tiny/block2/0"),
            ("slash", "nothing", "Tiny/block2/0"),
            ("slash", ":5", "Tiny/block2/5"),
        ):
            await pilot.press(key)
            await write(app, pilot, text)
            await press(app, pilot, "enter")
            assert str(app.units.unit) == unit, text


async def test_n_goes_round_the_numbers_that_contain_it(store: Store) -> None:
    async with exploring(store, unit="Tiny/block1/0") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit != 2")
        await pilot.press("enter", "slash")
        await write(app, pilot, "2")
        await press(app, pilot, "enter")
        assert str(app.units.unit) == "Tiny/block1/12", "2 itself is hidden"


async def test_a_filter_that_hides_the_unit_is_cleared(store: Store) -> None:
    async with exploring(store, unit="Tiny/block3/5") as (app, pilot):
        await pilot.press("f")
        await write(app, pilot, "unit > 3")
        await pilot.press("enter", "slash")
        await write(app, pilot, "block3/2")
        await press(app, pilot, "enter")
        assert str(app.units.unit) == "Tiny/block3/2"
        assert app.units.row_count == 33
        assert "filter is cleared" in status(app)


@pytest.mark.parametrize(
    ("wanted", "start", "step", "row"),
    [
        ("2", 0, 1, 3),
        ("1", 0, 1, 1),
        ("1", 2, 1, 4),
        ("1", 0, -1, 4),
        ("1", 5, 1, 1),
        ("7", 0, 1, None),
        ("1" * 20, 0, 1, None),
    ],
)
def test_numbers_are_found_whole_else_in_part_and_around(wanted: str, start: int, step: int, row: int | None) -> None:
    numbers = np.array([20, 31, 42, 2, 12], np.int32)
    assert find_number(numbers, wanted, start, step) == row


@pytest.mark.parametrize(("text", "unit"), [("9", "Tiny/block1/9"), (":block3/20", "Tiny/block3/20")])
async def test_the_picture_is_made_while_one_types(store: Store, text: str, unit: str) -> None:
    async with exploring(store, unit="Tiny/block1/0") as (app, pilot):
        made = app.panel.grid._maker._cache
        await pilot.press("slash")
        await write(app, pilot, text)
        for _ in range(300):
            if any(str(request.subject) == unit for request in made):
                break
            await pilot.pause(0.01)
        else:
            raise AssertionError("it was not made")
        assert str(app.units.unit) == "Tiny/block1/0"
        await write(app, pilot, "/nothing")  # is no mistake yet
        assert not app._notifications
