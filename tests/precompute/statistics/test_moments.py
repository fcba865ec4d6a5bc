"""Moments against NumPy in float64, however the images come."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.moments import Moments, MomentsResult
from tests.support.statistics_paths import take_path

CPU = torch.device("cpu")


def random_maps(seed: int, kind: str, shape: tuple[int, int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "zero":
        return np.zeros(shape, np.float32)
    if kind == "constant":
        return np.broadcast_to(rng.normal(size=(1, shape[1], 1, 1)), shape).astype(np.float32)
    maps = rng.normal(rng.uniform(-2, 2), rng.uniform(0.1, 50), shape)
    if kind == "relu":
        maps = np.maximum(maps, 0)
    elif kind == "repeated":
        maps = np.round(maps)
    elif kind == "negative":
        maps = -np.abs(maps) - 0.01
    return maps.astype(np.float32)


KINDS = ["normal", "relu", "repeated", "negative", "constant", "zero"]
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 7), st.integers(1, 9))


def batches(maps: np.ndarray, size: int) -> list[Maps]:
    return [Maps(torch.from_numpy(maps[start : start + size])) for start in range(0, len(maps), size)]


def fed(maps: np.ndarray, size: int) -> Moments:
    moments = Moments(maps.shape[1], CPU)
    for batch in batches(maps, size):
        moments.update(batch)
    return moments


def check(result: MomentsResult, maps: np.ndarray) -> None:
    exact = maps.astype(np.float64)
    axes = (0, 2, 3)
    deviation = exact.std(axes)
    size = np.sqrt(np.square(exact).mean(axes))
    np.testing.assert_array_equal(result.max, maps.max(axes))
    np.testing.assert_array_equal(result.sparsity, (maps <= 0).mean(axes).astype(np.float32))
    assert (np.abs(result.mean - exact.mean(axes)) <= 1e-4 * np.abs(exact.mean(axes)) + 1e-6 * size).all()
    assert (np.abs(result.std - deviation) <= 1e-4 * deviation + 1e-6 * size).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS), shape=SHAPES, size=st.integers(1, 10))
def test_any_maps_in_any_batches_equal_float64(
    seed: int, kind: str, shape: tuple[int, int, int, int], size: int
) -> None:
    maps = random_maps(seed, kind, shape)
    check(fed(maps, size).result(), maps)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    size=st.integers(1, 10),
    cut=st.integers(0, 9),
)
def test_two_halves_merged_equal_the_whole(
    seed: int, kind: str, shape: tuple[int, int, int, int], size: int, cut: int
) -> None:
    maps = random_maps(seed, kind, shape)
    merged = fed(maps[:cut], size)
    merged.merge(fed(maps[cut:], size))
    check(merged.result(), maps)


@pytest.mark.parametrize("kind", KINDS)
def test_the_device_path_equals_the_cpu_path(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    maps = random_maps(3, kind, (7, 19, 5, 6))
    on_cpu = fed(maps, 3).result()
    take_path(monkeypatch, "torch")
    on_device = fed(maps, 3).result()
    check(on_device, maps)
    np.testing.assert_array_equal(on_device.max, on_cpu.max)
    np.testing.assert_array_equal(on_device.sparsity, on_cpu.sparsity)


def test_nothing_seen_is_nan() -> None:
    result = Moments(3, CPU).result()
    for values in (result.max, result.mean, result.std, result.sparsity):
        assert np.isnan(values).all()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "sliced", "half"])
def test_the_memory_layout_does_not_matter(layout: str) -> None:
    maps = random_maps(1, "normal", (4, 17, 6, 5))
    tensor = torch.from_numpy(maps)
    if layout == "channels_last":
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    elif layout == "sliced":
        tensor = torch.from_numpy(np.repeat(maps, 2, axis=3))[:, :, :, ::2]
    elif layout == "half":
        maps = maps.astype(np.float16).astype(np.float32)
        tensor = torch.from_numpy(maps).half()
    moments = Moments(17, CPU)
    moments.update(Maps(tensor))
    check(moments.result(), maps)


def test_a_large_layer_keeps_its_digits() -> None:
    maps = random_maps(5, "relu", (40, 16, 112, 112))
    check(fed(maps, 16).result(), maps)


def test_a_reduction_is_that_of_numpy() -> None:
    maps = random_maps(11, "normal", (5, 18, 7, 3))
    reduction = Maps(torch.from_numpy(maps)).reduction
    exact = maps.astype(np.float64)
    np.testing.assert_array_equal(reduction.maximum.numpy(), maps.max((2, 3)))
    np.testing.assert_array_equal(reduction.nonpositive.numpy(), (maps <= 0).sum((2, 3)))
    np.testing.assert_allclose(reduction.total.numpy(), exact.sum((2, 3)), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(reduction.deviations.numpy(), exact.var((2, 3)) * 21, rtol=1e-5)
