"""All layers in one table, words of concepts and classes, and the way back."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.table import load_units
from tests.support.explorer_pilot import exploring, frame, press, status, write

pytestmark = pytest.mark.slow


@pytest.fixture
def store(concept_store: Path) -> Store:
    return open_store(concept_store)


async def test_all_layers_are_sorted_and_filtered_as_one(store: Store) -> None:
    table = load_units(store)
    async with exploring(store, unit="Tiny/block2/3") as (app, pilot):
        await press(app, pilot, "0")
        assert app.units.unit == store.unit("Tiny/block2/3"), "the cursor stays"
        assert app.units.row_count == len(table)
        assert "all layers › Tiny › block2 › 3" in status(app)
        await press(app, pilot, "s", "g")
        best = table.unit(int(table.order("smoothness")[0]))
        assert app.units.unit == best
        assert f"{best.layer}/{best.index}" in app.units.render_line(1).text
        await pilot.press("f")
        await write(app, pilot, "layer = block3 and smooth > .1")
        await press(app, pilot, "enter")
        values = store.metric("Tiny", "block3", "smoothness")
        assert app.units.row_count == int((values > np.float32(0.1)).sum())
        assert f"of {len(table)}" in frame(app.units)
        await press(app, pilot, "escape", "0")
        assert app.scope == (best.model, app.units.unit.layer)  # type: ignore[union-attr]


async def test_the_rows_of_all_models_and_of_one_model_choose_their_units(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        await pilot.press("tab", "g", "enter")
        assert app.scope == (None, None)
        assert app.focused is app.units
        await pilot.press("tab", "j", "enter")
        assert app.scope == ("Tiny", None)
        await press(app, pilot, "right_square_bracket")
        assert app.scope == ("Tiny", "block1"), "the layer of the unit"


async def test_a_concept_or_a_class_is_found_and_n_goes_on(store: Store) -> None:
    table = load_units(store)
    concept = next(text for text in table.columns["concept"].tolist() if text)
    having = [row for row in range(len(table)) if concept.casefold() in str(table.columns["concept"][row]).casefold()]
    async with exploring(store) as (app, pilot):
        await press(app, pilot, "0", "G", "slash")
        await write(app, pilot, concept.upper())
        await press(app, pilot, "enter")
        rows = set()
        for _ in range(len(table)):
            rows.add(app.units.cursor)
            await pilot.press("n")
        assert set(having) <= rows
        words = {row: app._read_words((None, None))[row] for row in rows}
        assert all(concept.casefold() in text for text in words.values())
        await pilot.press("slash")
        await write(app, pilot, "no such thing")
        before = app.units.unit
        await press(app, pilot, "enter")
        assert app.units.unit == before


async def test_back_and_forward_walk_the_units_that_were_visited(store: Store) -> None:
    async with exploring(store, unit="Tiny/block1/2") as (app, pilot):
        for name in ("block2/5", "block3/7"):
            await pilot.press("slash")
            await write(app, pilot, name)
            await press(app, pilot, "enter")
        seen = []
        for key in ("ctrl+o", "H", "ctrl+o", "L", "L", "L"):
            await press(app, pilot, key)
            seen.append(str(app.units.unit))
        assert seen == [
            "Tiny/block2/5",
            "Tiny/block1/2",
            "Tiny/block1/2",
            "Tiny/block2/5",
            "Tiny/block3/7",
            "Tiny/block3/7",
        ]
