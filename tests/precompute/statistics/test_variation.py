"""Total variation and smoothness against NumPy in float64, however the images come."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics import kernels
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.variation import Variation, filter_smoothness

CPU = torch.device("cpu")
KINDS = ["normal", "relu", "offset", "rounded", "constant", "zero", "checkerboard"]
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 7), st.integers(1, 9))


def random_maps(seed: int, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(seed)
    maps = random.normal(0, random.uniform(0.1, 50), shape)
    if kind == "zero":
        maps[:] = 0
    elif kind == "constant":
        maps[:] = maps[:, :, :1, :1]
    elif kind == "relu":
        maps = np.maximum(maps, 0)
    elif kind == "offset":
        maps += 1000
    elif kind == "rounded":
        maps = np.round(maps)
    elif kind == "checkerboard":
        maps[:] = np.indices(shape[2:]).sum(0) % 2 * 7 - 3.5
    return maps.astype(np.float32)


def exact(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TV and sum of |a| of every map, float64 [B, C]."""
    maps = maps.astype(np.float64)
    down, across = (np.abs(np.diff(maps, axis=axis)).sum((2, 3)) for axis in (2, 3))
    return down + across, np.abs(maps).sum((2, 3))


def expected_smoothness(maps: np.ndarray) -> np.ndarray:
    if maps[0, 0].size == 1:
        return np.full(maps.shape[1], np.nan)
    variation, absolute = (each.sum(0) for each in exact(maps))
    return np.where(absolute > 0, 1 - variation / np.where(absolute > 0, 4 * absolute, 1), 1)


def fed(maps: np.ndarray, size: int = 4) -> Variation:
    variation = Variation(maps.shape[1], maps[0, 0].size if len(maps) else 4, CPU)
    for start in range(0, len(maps), size):
        part = torch.from_numpy(maps[start : start + size])
        variation.update(Maps(part, np.arange(len(part))))
    return variation


def check(variation: Variation, maps: np.ndarray) -> None:
    tv, smoothness = variation.result().tv, variation.result().smoothness
    assert tv.dtype == smoothness.dtype == np.float32
    np.testing.assert_allclose(tv, exact(maps)[0].mean(0), rtol=1e-5)
    np.testing.assert_allclose(smoothness, expected_smoothness(maps), rtol=1e-5, atol=1e-6)
    if maps[0, 0].size > 1:
        assert ((smoothness >= 0) & (smoothness <= 1)).all()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    size=st.integers(1, 10),
    cut=st.integers(1, 8),
    on_cpu=st.booleans(),
)
def test_any_maps_in_any_batches_equal_float64(
    seed: int, kind: str, shape: tuple[int, ...], size: int, cut: int, on_cpu: bool
) -> None:
    maps = random_maps(seed, kind, shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maps, "on_cpu", property(lambda _: on_cpu))
        check(fed(maps, size), maps)
        merged = Variation(shape[1], shape[2] * shape[3], CPU)
        for part in (maps[:cut], maps[cut:]):
            if len(part):
                merged.merge(fed(part, size))
        check(merged, maps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 17, 5, 6), (2, 5, 1, 8), (2, 5, 8, 1), (1, 33, 2, 2)])
def test_the_device_path_equals_the_cpu_path(kind: str, shape: tuple[int, ...]) -> None:
    maps = random_maps(3, kind, shape)
    on_cpu = Maps(torch.from_numpy(maps), np.arange(shape[0])).variation
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maps, "on_cpu", property(lambda _: False))
        on_device = Maps(torch.from_numpy(maps), np.arange(shape[0])).variation
    for one, other, wanted in zip(on_cpu, on_device, exact(maps), strict=True):
        assert one.dtype == other.dtype == torch.float64
        np.testing.assert_allclose(one.numpy(), wanted, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(other.numpy(), wanted, rtol=1e-6, atol=1e-6)


def test_the_kernel_fills_only_its_images() -> None:
    maps = random_maps(0, "normal", (5, 3, 4, 6))
    flat = np.ascontiguousarray(maps.transpose(0, 2, 3, 1)).reshape(5, 24, 3)
    variation, absolute = np.full((2, 5, 3), -1.0)
    kernels.vary_maps(flat, 6, variation, absolute, 1, 4)
    for found, wanted in zip((variation, absolute), exact(maps), strict=True):
        np.testing.assert_allclose(found[1:4], wanted[1:4], rtol=1e-6)
        assert (found[[0, 4]] == -1).all()


def test_by_hand() -> None:
    """Rows 1 2 4 / 1 -1 0 / 0 0 3: down 0 3 4 + 1 1 3 = 12, across 1 2 + 2 1 + 0 3 = 9; sum of |a| 12."""
    maps = np.array([[1, 2, 4], [1, -1, 0], [0, 0, 3]], np.float32)[None, None]
    variation = fed(maps)
    assert variation.result().tv == [21]
    assert variation.result().smoothness == [np.float32(1 - 21 / 48)]


def test_what_the_bounds_are() -> None:
    """Single peaks away from the border have no smoothness at all; constant maps lose only what the border lacks."""
    maps = np.zeros((2, 3, 7, 7), np.float32)
    maps[:, 0, 3, 3] = maps[:, 0, 1, 5] = 2.5
    maps[:, 1] = -4
    np.testing.assert_array_equal(fed(maps).result().smoothness, [0, 1, 1])
    np.testing.assert_array_equal(fed(maps).result().tv, [20, 0, 0])


@pytest.mark.parametrize("factor", [1000, 1e-3, -1])
def test_smoothness_does_not_depend_on_scale(factor: float) -> None:
    maps = random_maps(8, "relu", (6, 20, 9, 9))
    scaled = fed(maps * np.float32(factor))
    np.testing.assert_allclose(scaled.result().smoothness, fed(maps).result().smoothness, rtol=1e-5)
    np.testing.assert_allclose(scaled.result().tv, fed(maps).result().tv * abs(factor), rtol=1e-5)


def test_maps_of_one_position_have_no_smoothness() -> None:
    variation = fed(random_maps(0, "normal", (3, 4, 1, 1)))
    assert np.isnan(variation.result().smoothness).all()
    np.testing.assert_array_equal(variation.result().tv, np.zeros(4))


def test_nothing_seen_is_nan() -> None:
    empty = Variation(3, 4, CPU)
    assert np.isnan(empty.result().tv).all()
    assert np.isnan(empty.result().smoothness).all()


def test_a_large_layer_keeps_its_digits() -> None:
    maps = random_maps(5, "relu", (9, 16, 112, 112))
    check(fed(maps), maps)


# --- kernels ---------------------------------------------------------------------------------------------------------


def test_filter_smoothness_by_hand() -> None:
    kernels_ = np.zeros((4, 2, 3, 3), np.float32)
    kernels_[0, 0, 1, 1] = 3  # a peak
    kernels_[1] = 0.5  # constant
    kernels_[3, 0] = [[1, 2, 4], [1, -1, 0], [0, 0, 3]]  # TV 21, sum 12
    kernels_[3, 1] = -1  # TV 0, sum 9
    found = filter_smoothness(kernels_)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, 1, 1, 1 - 21 / (4 * 21)], rtol=1e-6)


@pytest.mark.parametrize("shape", [(8, 3, 7, 7), (5, 1, 3, 3), (6, 16, 1, 3), (6, 16, 3, 1)])
def test_filter_smoothness_is_that_of_the_kernel_as_a_map(shape: tuple[int, ...]) -> None:
    """All of a filter's input channels as so many images of one unit."""
    weights = random_maps(2, "normal", shape)
    for unit, found in enumerate(filter_smoothness(weights)):
        np.testing.assert_allclose(found, expected_smoothness(weights[unit][:, None])[0], rtol=1e-5)
        np.testing.assert_allclose(filter_smoothness(1000 * weights)[unit], found, rtol=1e-5)


def test_filter_smoothness_of_single_weights_is_undefined() -> None:
    found = filter_smoothness(random_maps(2, "normal", (7, 16, 1, 1)))
    assert found.shape == (7,)
    assert np.isnan(found).all()
