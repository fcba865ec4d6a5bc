"""The unit table against the store's arrays and NumPy's sorting."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from shapebias.core.units.table import UnitTable, load_units, unit_records


@pytest.fixture(scope="module")
def store(small_store: Path) -> Store:
    return open_store(small_store)


def small_table(values: list[float]) -> UnitTable:
    index = np.arange(len(values), dtype=np.int32)
    return UnitTable([("M", "L")], np.zeros(len(values), np.int32), index, {"max": np.array(values, np.float32)})


def test_every_unit_of_the_store_in_order(store: Store) -> None:
    table = load_units(store)
    assert len(table) == 16 + 21 + 33
    assert [str(table.unit(row)) for row in (0, 15, 16, 69)] == [
        "Tiny/block1/0",
        "Tiny/block1/15",
        "Tiny/block2/0",
        "Tiny/block3/32",
    ]
    assert list(table.columns) == [name for name in METRICS if name in table.columns]
    assert {"max", "tv", "smoothness", "visual_diversity", "class_diversity", "selectivity"} <= set(table.columns)
    for name, values in table.columns.items():
        parts = [store.metric("Tiny", layer, name) for layer in store.layers("Tiny")]
        np.testing.assert_array_equal(values, np.concatenate(parts))


def test_one_model_and_one_layer(store: Store) -> None:
    assert len(load_units(store, "Tiny")) == 70
    for table in (load_units(store, "Tiny", "block2"), load_units(store, layer="block2")):
        assert [table.unit(row) for row in (0, 20)] == [Unit("Tiny", "block2", 0), Unit("Tiny", "block2", 20)]
        assert len(table) == 21


@pytest.mark.parametrize(
    ("model", "layer"), [("Tony", None), (None, "blok"), ("Tiny", "blok"), ("Tiny", "\x1b[31m"), ("", None)]
)
def test_unknown_names_are_usage_errors(store: Store, model: str | None, layer: str | None) -> None:
    with pytest.raises(UsageError) as error:
        load_units(store, model, layer)
    assert not {"\n", "\x1b"} & set(str(error.value))


def test_an_unknown_metric_is_a_usage_error_that_names_the_known(store: Store) -> None:
    with pytest.raises(UsageError, match="selectivity"):
        load_units(store).order("nonsense\x1b")


@settings(deadline=None)
@given(st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, float("nan")]), min_size=1, max_size=40))
def test_sorting_is_stable_with_undefined_last_either_way(values: list[float]) -> None:
    table = small_table(values)
    for ascending in (False, True):
        rows = table.order("max", ascending)
        sign = 1 if ascending else -1
        numbers = [(sign * value, row) for row, value in enumerate(values) if value == value]
        undefined = [row for row, value in enumerate(values) if value != value]
        assert rows.tolist() == [row for _, row in sorted(numbers)] + undefined


@given(st.lists(st.floats(width=32), max_size=20), st.integers(1, 30))
def test_the_first_rows(values: list[float], count: int) -> None:
    table = small_table(values).first(count)
    np.testing.assert_array_equal(table.columns["max"], np.array(values[:count], np.float32))
    assert table.index.tolist() == list(range(min(count, len(values))))


def test_records_hold_metrics_and_top_images(store: Store) -> None:
    table = load_units(store, "Tiny", "block3")
    records = unit_records(store, table.take(np.array([30, 2])))
    assert [(record["model"], record["layer"], record["unit"]) for record in records] == [
        ("Tiny", "block3", 30),
        ("Tiny", "block3", 2),
    ]
    for record in records:
        unit = Unit("Tiny", "block3", record["unit"])
        for name in table.columns:
            value = store.metric("Tiny", "block3", name)[unit.index]
            assert record[name] == (None if np.isnan(value) else value)
        top = store.top(unit)
        assert [image["image"] for image in record["top"]] == [store.image_name(int(image)) for image in top.image]
        np.testing.assert_array_equal([image["value"] for image in record["top"]], top.value)
        np.testing.assert_array_equal([(image["y"], image["x"]) for image in record["top"]], top.position)
    assert "top" not in unit_records(store, table, top=False)[0]
