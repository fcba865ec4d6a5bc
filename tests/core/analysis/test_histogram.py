"""Histograms of activations: every image counted once, the read ones evenly spread."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shapebias.core.analysis import histogram as module
from shapebias.core.analysis.histogram import activation_histogram, histogram
from shapebias.core.store.opening import open_store


@given(values=arrays(np.float16, st.integers(0, 60)), bins=st.integers(1, 20))
def test_every_number_is_counted_once(values: np.ndarray, bins: int) -> None:
    binned = histogram(values, bins)
    known = values[np.isfinite(values)].astype(float)
    assert binned.images == len(known)
    if binned.high > binned.low:
        assert binned.zeros + binned.counts.sum() == len(known)
    if len(known) and known.min() < 0:
        assert (binned.low, binned.zeros) == (known.min(), 0)
    elif len(known):
        assert (binned.low, binned.zeros) == (0, (known == 0).sum())
        inside = known[known > 0]
        assert binned.counts.sum() == len(inside) or binned.high == 0
        if binned.high > 0:
            np.testing.assert_array_equal(binned.counts, np.histogram(inside, bins, (0, known.max()))[0])
    assert len(binned.bars) == bins


def test_bars_are_eighths_of_the_largest() -> None:
    values = np.repeat([0.0, 0.5, 1, 4], [5, 1, 8, 80]).astype(np.float16)
    binned = histogram(values, 4)
    assert binned.counts.tolist() == [1, 8, 0, 80]
    assert binned.bars == "▁▁ █"
    assert binned.zeros == 5


def test_a_store_without_activations_has_none(make_store: Callable[..., Path], tmp_path: Path) -> None:
    store = open_store(make_store(tmp_path / "a.zarr", activations="none"))
    assert activation_histogram(store, store.unit("Tiny/block1/0"), 8) is None


def test_only_some_blocks_of_many_images_are_read(small_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(small_store)
    unit = store.unit("Tiny/block2/3")
    column = np.asarray(store.activations("Tiny", "block2", "max")[:, 3])
    np.testing.assert_array_equal(store.activation_column(unit, 1000, 7), column)
    np.testing.assert_array_equal(
        store.activation_column(unit, 30, 10), column[[*range(10), *range(20, 30), *range(40, 50)]]
    )
    whole = activation_histogram(store, unit, 8)
    assert whole is not None
    assert whole.images == 50
    assert whole.high == column.max()
    monkeypatch.setattr(module, "MOST", 30)
    monkeypatch.setattr(module, "_BLOCK", 10)
    part = activation_histogram(store, unit, 8)
    assert part is not None
    assert part.images == 30
