"""Twins against numpy.corrcoef in float64, over stored activations of any kind."""

import shutil
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from shapebias.core.analysis.twins import Correlator, TwinGroup, find_twins, twins_text
from shapebias.core.errors import UsageError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from tests.support.layer_values import set_values

HALVES = st.floats(-1000, 1000, width=16) | st.sampled_from([0.0, 1.0])


class Memory:
    """The part of a store that twins need, from activations {(model, layer): float16 [images, units]}."""

    def __init__(self, values: dict[tuple[str, str], NDArray[np.float16]]) -> None:
        self.values = values
        self.models = dict.fromkeys(model for model, _ in values)
        self.reads: list[int] = []

    def image_paths_of(self, model: str) -> list[bytes]:
        images = next(len(activations) for (name, _), activations in self.values.items() if name == model)
        return [b"%d" % row for row in range(images)]

    def layers(self, model: str) -> dict[str, object]:
        return {
            layer: type("Layer", (), {"units": activations.shape[1]})
            for (m, layer), activations in self.values.items()
            if m == model
        }

    def layer_read(
        self, model: str, layer: str, _: str, rows: slice, units: object = slice(None), shape: object = None
    ) -> NDArray[np.float16]:
        self.reads += [] if isinstance(units, int) else [rows.start]
        return self.values[model, layer][rows, units]  # type: ignore[index]

    def check_model(self, model: str) -> None:
        assert model in self.models


def correlator(values: NDArray[np.float16], memory: int = 1 << 20, block: int = 7) -> Correlator:
    return Correlator(Memory({("a", "x"): values}), memory, block)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(arrays(np.float16, st.tuples(st.integers(2, 40), st.integers(1, 6)), elements=HALVES), st.integers(1, 50))
def test_correlations_are_those_of_numpy_whatever_the_blocks(values: NDArray[np.float16], block: int) -> None:
    correlations = correlator(values, memory=0, block=block).correlations(Unit("a", "x", 0), "a", "x")
    with np.errstate(all="ignore"):
        expected = np.atleast_2d(np.corrcoef(values.astype(np.float64), rowvar=False))[0]
    constant = (values == values[0]).all(0)
    expected[constant | constant[0]] = np.nan
    np.testing.assert_allclose(correlations, expected, atol=2e-5)


def test_dead_clipped_and_nan_units_have_no_correlation() -> None:
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float16)
    values[:, 1] = 0
    values[3, 2], values[0, 3], values[49, 4] = np.nan, np.finfo(np.float16).max, -np.inf
    memory_correlator = correlator(values)
    assert np.isnan(memory_correlator.correlations(Unit("a", "x", 0), "a", "x")).tolist() == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    for unit in range(1, 5):
        assert np.isnan(memory_correlator.correlations(Unit("a", "x", unit), "a", "x")).all()
        assert find_twins(memory_correlator, Unit("a", "x", unit)) == []
    assert [twin.unit.index for twin in find_twins(memory_correlator, Unit("a", "x", 0))] == [5]


def test_what_is_kept_is_bounded_and_used_again() -> None:
    values = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float16)
    small, large = correlator(values, memory=300), correlator(values)
    for cache in (small, large):
        cache.correlations(Unit("a", "x", 0), "a", "x")
    assert sum(block.nbytes for block in small._kept.values()) <= 300
    before = large.store.reads.copy()  # type: ignore[attr-defined]
    large.correlations(Unit("a", "x", 1), "a", "x")
    assert large.store.reads == before  # type: ignore[attr-defined]


def test_twins_come_from_the_same_layer_then_from_others_then_from_the_own_model() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=200)

    def like(noise: float) -> NDArray[np.float64]:
        return base + noise * rng.normal(size=200)

    def layer(*columns: NDArray[np.float64]) -> NDArray[np.float16]:
        return np.stack(columns, 1).astype(np.float16)

    store = Memory(
        {
            ("s", "x"): layer(base, like(0.5), -base),
            ("s", "y"): layer(like(0.4), like(9)),
            ("r", "x"): layer(like(2), like(0.3)),
            ("r", "z"): layer(like(0.1), like(0.2)),
        }
    )
    twins = find_twins(Correlator(store), Unit("s", "x", 0), limit=1)  # type: ignore[arg-type]
    assert [(str(twin.unit), twin.group) for twin in twins] == [
        ("r/x/1", TwinGroup.TWIN),
        ("r/z/0", TwinGroup.TWIN_ELSEWHERE),
        ("s/x/1", TwinGroup.ALIKE),
        ("s/y/0", TwinGroup.ALIKE_ELSEWHERE),
    ]
    alone = find_twins(Correlator(store), Unit("s", "x", 0), "s", limit=9)  # type: ignore[arg-type]
    assert [str(twin.unit) for twin in alone] == ["s/x/1", "s/x/2", "s/y/0", "s/y/1"], "never the unit itself"
    assert "0.9" in twins_text(Unit("s", "x", 0), twins)


def test_a_store_of_a_thousand_images_and_units_answers_in_time() -> None:
    values = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float16)
    memory_correlator = Correlator(Memory({("a", "x"): values}))  # type: ignore[arg-type]
    memory_correlator.correlations(Unit("a", "x", 0), "a", "x")
    times = []
    for unit in range(5):
        begun = perf_counter()
        memory_correlator.correlations(Unit("a", "x", unit), "a", "x")
        times.append(perf_counter() - begun)
    assert min(times) < 0.2


def test_a_real_store(small_store: Path, tmp_path: Path) -> None:
    store = open_store(small_store)
    unit = store.unit("Tiny/block2/3")
    values = np.asarray(store.activations("Tiny", "block3", "max")[:], np.float64)
    column = np.asarray(store.activations("Tiny", "block2", "max")[:, 3], np.float64)
    expected = np.corrcoef(column, values, rowvar=False)[0, 1:]
    np.testing.assert_allclose(Correlator(store).correlations(unit, "Tiny", "block3"), expected, atol=1e-5)
    with pytest.raises(UsageError, match="no model Tin: did you mean Tiny"):
        find_twins(Correlator(store), unit, "Tin")
    copy = Path(shutil.copytree(small_store, tmp_path / "copy.zarr"))
    doubled = store.layer_read("Tiny", "block2", "activations/max", slice(None), 3) * 2
    set_values(copy, ("Tiny", "block2"), "activations/max", (slice(None), 5), doubled)
    best = find_twins(Correlator(open_store(copy)), unit)[0]
    assert best.unit.index == 5
    assert best.correlation == pytest.approx(1, abs=1e-5)
