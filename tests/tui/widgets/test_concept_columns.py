"""Concepts as columns of the explorer: texts beside numbers."""

from pathlib import Path

from shapebias.core.store.opening import open_store
from shapebias.core.units.table import load_units
from tests.support.explorer_pilot import exploring, press, units_in_table, write


async def test_concepts_are_shown_sorted_and_filtered(concept_store: Path) -> None:
    store = open_store(concept_store)
    table = load_units(store, "Tiny", "block1")
    async with exploring(store) as (app, pilot):
        assert {"concept", "concept_category", "iou"} <= set(app.units.columns)
        app.units.sort("concept", ascending=True)
        assert units_in_table(app) == table.order("concept", ascending=True).tolist()
        hidden = [name for name in table.columns if name not in ("concept", "concept_category")]
        app.units.change_columns(hidden, {"concept": 40})
        line = app.units.render_line(1).text
        row = units_in_table(app)[0]
        assert str(table.cell("concept", row)) in line
        assert line.index(str(table.cell("concept_category", row))) > 40, "the column is as wide as was asked for"
        await press(app, pilot, "f")
        await write(app, pilot, "concept_category = color and iou > 0.02")
        expected = (table.columns["concept_category"] == "color") & (table.columns["iou"] > 0.02)
        assert sorted(units_in_table(app)) == expected.nonzero()[0].tolist()
