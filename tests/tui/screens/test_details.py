"""All that is known of a unit, to read."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text, rank_text
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.table import load_units
from shapebias.tui.screens.details import DetailsScreen, concepts_table, images_table, metrics_table
from tests.support.explorer_pilot import exploring, press


@pytest.fixture
def store(concept_store: Path) -> Store:
    return open_store(concept_store)


def lines(table: Table) -> list[str]:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


async def test_d_opens_it_and_goes_back(store: Store) -> None:
    async with exploring(store, unit="Tiny/block2/3") as (app, pilot):
        await press(app, pilot, "d")
        assert isinstance(app.screen, DetailsScreen)
        await pilot.press("j", "j", "k")
        assert app.units.unit == store.unit("Tiny/block2/3")
        await pilot.press("d")
        assert not isinstance(app.screen, DetailsScreen)


def test_every_metric_has_value_rank_and_meaning(store: Store) -> None:
    table = load_units(store, "Tiny", "block2")
    metric_lines = lines(metrics_table(table, store.unit("Tiny/block2/3")))
    for name, values in table.columns.items():
        metric = METRICS[name]
        [line] = [line_text for line_text in metric_lines if line_text.startswith(f"{metric.title} ")]
        value = table.cell(name, 3)
        assert f" {metric.format(value) if isinstance(value, str) else number_text(value)} " in line
        if not metric.is_text and not np.isnan(values[3]):
            known = np.sort(values[~np.isnan(values)])[::-1]
            above, below = (known > values[3]).sum(), (known < values[3]).sum()
            ends = {(True, False): "highest", (False, True): "lowest"}
            assert f" {ends.get((above == 0, below == 0), above + 1)} of {len(known)} " in line


def test_equal_values_share_their_rank_and_nan_has_none() -> None:
    values = np.array([3.0, 1.0, 3.0, np.nan, 2.0])
    assert [rank_text(values, row) for row in range(5)] == ["highest of 4", "lowest of 4", "highest of 4", "", "3 of 4"]
    assert rank_text(np.array([2.0, 2.0]), 0) == "1 of 2"


def test_concepts_and_images_are_listed(store: Store, small_store: Path) -> None:
    unit = store.unit("Tiny/block2/3")
    assert "IoU" in lines(concepts_table(store, unit))[1]
    assert lines(concepts_table(open_store(small_store), unit)) in ([], [""]), "nothing where nothing was dissected"
    image_lines = lines(images_table(store, unit))
    top = store.top(unit)
    assert len(image_lines) == len(top.image) + 2
    assert store.image_name(int(top.image[0])) in image_lines[2]
    assert number_text(float(top.value[0])) in image_lines[2]
