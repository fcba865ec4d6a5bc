"""Changes in a copy of a store are found and named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from benchmarks.gpu.setup import Record
from benchmarks.gpu.stores import BOUNDS, check_distance, differing, distance
from shapebias.core.store.opening import open_store
from tests.support.layer_values import set_values

LAYERS = ("block1", "block2", "block3")
UNIT = 4


def change(store: Path, name: str, action: Callable[[np.ndarray], None], layer: str = "block2") -> None:
    """Change an array of a layer in place."""
    values = open_store(store).layer_read("Tiny", layer, name)
    action(values)
    set_values(store, ("Tiny", layer), name, ..., values)


def violations(copy: Path, original: Path, precision: str = "highest") -> list[str]:
    record = Record("C", "whole stores", 1)
    bounds = BOUNDS[precision]
    check_distance(record, "copy", store=open_store(copy), expected=open_store(original), bounds=bounds)
    return record.violations


def scaled(by: float) -> Callable[[np.ndarray], None]:
    def action(values: np.ndarray) -> None:
        values[UNIT] *= by

    return action


def test_a_copy_is_the_same(store_copy: Path, small_store: Path) -> None:
    assert violations(store_copy, small_store) == []
    assert differing(open_store(store_copy), open_store(small_store)) == []


@pytest.mark.parametrize("metric", ["max", "std", "tv", "smoothness", "q995"])
def test_one_metric_of_one_unit(metric: str, store_copy: Path, small_store: Path) -> None:
    change(store_copy, f"metrics/{metric}", scaled(1 + 1e-3))
    [violation] = violations(store_copy, small_store)
    assert violation.startswith(f"copy: {metric} differs by ")
    assert "(max over units), not 0.0001" in violation
    assert violations(store_copy, small_store, "tf32") == []  # the median is bounded there, and one unit is not half
    assert differing(open_store(store_copy), open_store(small_store)) == ["models/Tiny/metrics"]


def test_a_metric_of_all_units_by_a_little(store_copy: Path, small_store: Path) -> None:
    def add(values: np.ndarray) -> None:
        values += 2e-3

    for layer in LAYERS:
        change(store_copy, "metrics/smoothness", add, layer)
    [violation] = violations(store_copy, small_store, "tf32")
    assert "smoothness differs by 2.0e-03 (median over units), not 0.001" in violation


def test_differences_are_relative_to_the_unit(store_copy: Path, small_store: Path) -> None:
    """The expected difference is computed with NumPy from the store's values."""
    change(store_copy, "metrics/mean", scaled(1.5))
    store, expected = open_store(store_copy), open_store(small_store)
    mean, largest = (expected.metric("Tiny", "block2", name)[UNIT] for name in ("mean", "max"))
    value, metric = distance(store, expected).worst("max")
    assert metric == "mean"
    assert value == pytest.approx(abs(0.5 * mean / largest), rel=1e-5)


@pytest.mark.parametrize(("by", "is_violation"), [(5e-4, False), (2e-3, True)])
def test_a_few_positions_may_change_sides(by: float, is_violation: bool, store_copy: Path, small_store: Path) -> None:
    def add(values: np.ndarray) -> None:
        values[UNIT] += by

    change(store_copy, "metrics/sparsity", add)
    assert len(violations(store_copy, small_store)) == is_violation


def test_what_is_no_number_in_one_of_the_two(store_copy: Path, small_store: Path) -> None:
    change(store_copy, "metrics/coherence", scaled(np.nan))
    assert "coherence differs by inf" in violations(store_copy, small_store)[0]


def test_top_lists_of_two_units_that_changed_places(store_copy: Path, small_store: Path) -> None:
    def swap(values: np.ndarray) -> None:
        values[[0, 1]] = values[[1, 0]]

    change(store_copy, "top/image", swap)
    [violation] = violations(store_copy, small_store)
    assert "% of top images are the same, not 99.9%" in violation


def test_values_of_a_top_list_in_another_order(store_copy: Path, small_store: Path) -> None:
    def reverse(values: np.ndarray) -> None:
        values[UNIT] = values[UNIT, ::-1]

    change(store_copy, "top/value", reverse)
    [violation] = violations(store_copy, small_store)
    assert violation.startswith("copy: values of top images differs by")


def test_one_decision(store_copy: Path, small_store: Path) -> None:
    decisions = zarr.open_array(store_copy / "models/Tiny/decision", mode="r+")
    decisions[7] = decisions[7] + 1
    assert violations(store_copy, small_store)[0].endswith("of decisions are the same, not 100.0%")
    assert violations(store_copy, small_store, "bf16") == []


def test_a_metric_that_the_store_lacks(store_copy: Path, small_store: Path) -> None:
    model = zarr.open_group(store_copy, mode="a")["models/Tiny"]
    model.attrs["layer_facts"] = [facts | {"lacks": [*facts["lacks"], "tied"]} for facts in model.attrs["layer_facts"]]
    [violation] = violations(store_copy, small_store)
    assert violation.startswith("copy: only one of the two has Tiny/block1 tied")
    record = Record("C", "whole stores", 1)
    bounds = replace(BOUNDS["highest"], complete=False)
    check_distance(record, "copy", store=open_store(store_copy), expected=open_store(small_store), bounds=bounds)
    assert record.violations == []
