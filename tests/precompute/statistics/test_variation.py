"""Total variation and smoothness against NumPy in float64, however the images come."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics.draws import Pairing, _strides
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.variation import Variation, filter_smoothness
from tests.support.statistics_paths import PATHS, take_path

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


def partners(pairs: np.ndarray, positions: int) -> np.ndarray:
    """The partner of each position in each pairing (offset, stride): int64 [pairings, positions]."""
    return (pairs[:, :1].astype(np.int64) + np.arange(positions) * pairs[:, 1:]) % positions


def apart(maps: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The sum of |a[p] - a[q]| over the pairs of each map, float64 [B, C]; pairs [B, n, 2]."""
    flat = maps.astype(np.float64).reshape(*maps.shape[:2], -1)
    total = np.zeros(maps.shape[:2])
    for image, pairings in enumerate(pairs):
        for partner in partners(pairings, flat.shape[2]):
            total[image] += np.abs(flat[image] - flat[image][:, partner]).sum(1)
    return total


def shuffled_variation(maps: np.ndarray) -> np.ndarray:
    """The mean TV of every map over all orders of its values, float64 [B, C]: from the mean over all pairs of them."""
    flat = np.sort(maps.astype(np.float64).reshape(*maps.shape[:2], -1), 2)
    positions, (height, width) = flat.shape[2], maps.shape[2:]
    rank = 2 * np.arange(positions) - positions + 1  # how often a value is the larger less how often the smaller
    mean = (flat * rank).sum(2) / (positions * (positions - 1) / 2)
    return mean * (height * (width - 1) + width * (height - 1))


def expected_smoothness(maps: np.ndarray) -> np.ndarray:
    if maps[0, 0].size == 1:
        return np.full(maps.shape[1], np.nan)
    variation, absolute = (sums.sum(0) for sums in exact(maps))
    return np.where(absolute > 0, 1 - variation / np.where(absolute > 0, 4 * absolute, 1), 1)


def fed(maps: np.ndarray, size: int = 4, first: int = 0) -> Variation:
    variation = Variation(*maps.shape[1:], CPU)
    for start in range(0, len(maps), size):
        part = torch.from_numpy(maps[start : start + size])
        variation.update(
            Maps(part, ImageBatch(np.arange(len(part)), keys=first + start + np.arange(len(part)) * 77, seed=5))
        )
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
    path=st.sampled_from(["cpu", "torch"]),
)
def test_any_maps_in_any_batches_equal_float64(
    seed: int, kind: str, shape: tuple[int, ...], size: int, cut: int, path: str
) -> None:
    maps = random_maps(seed, kind, shape)
    with pytest.MonkeyPatch.context() as patch:
        take_path(patch, path)
        check(fed(maps, size), maps)
        merged = Variation(*shape[1:], CPU)
        for part in (maps[:cut], maps[cut:]):
            if len(part):
                merged.merge(fed(part, size))
        check(merged, maps)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["offset", "rounded"])
@pytest.mark.parametrize("shape", [(3, 17, 5, 6), (2, 5, 1, 8), (2, 5, 8, 1), (1, 33, 2, 2), (2, 40, 9, 11)])
def test_sums_of_a_map_are_those_of_float64(
    monkeypatch: pytest.MonkeyPatch, path: str, kind: str, shape: tuple[int, ...]
) -> None:
    take_path(monkeypatch, path)
    maps = random_maps(3, kind, shape)
    images, pairing = ImageBatch(np.arange(shape[0]) * 3), Pairing(shape[2] * shape[3])
    reduction = Maps(torch.from_numpy(maps), images).reduction
    expected = (*exact(maps), apart(maps, images.drawn(pairing).numpy()))
    for computed, wanted in zip((reduction.variation, reduction.absolute, reduction.apart), expected, strict=True):
        assert computed.dtype == torch.float64
        np.testing.assert_allclose(computed.numpy(), wanted, rtol=1e-6, atol=1e-6)


def test_examples_computed_by_hand() -> None:
    """Rows 1 2 4 / 1 -1 0 / 0 0 3: down 0 3 4 + 1 1 3 = 12, across 1 2 + 2 1 + 0 3 = 9; sum of |a| 12."""
    maps = np.array([[1, 2, 4], [1, -1, 0], [0, 0, 3]], np.float32)[None, None]
    variation = fed(maps)
    assert variation.result().tv == [21]
    assert variation.result().smoothness == [np.float32(1 - 21 / 48)]


def test_smoothness_is_0_at_its_bound_and_1_for_flat_maps() -> None:
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
    empty = Variation(3, 2, 2, CPU)
    assert np.isnan(empty.result().tv).all()
    assert np.isnan(empty.result().smoothness).all()
    assert np.isnan(empty.result().coherence).all()


def test_a_large_layer_keeps_its_digits() -> None:
    maps = random_maps(5, "relu", (9, 16, 112, 112))
    check(fed(maps), maps)


# --- coherence -------------------------------------------------------------------------------------------------------


def test_the_expectation_is_the_mean_over_all_orders() -> None:
    """All 720 orders of six values: what `shuffled_variation` has from pairs."""
    values = np.array([0.0, 1, 1, 4, -2, 7])
    every = np.array(list(itertools.permutations(values))).reshape(-1, 1, 2, 3)
    np.testing.assert_allclose(exact(every)[0].mean(), shuffled_variation(every[:1])[0, 0])


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (1, 7), (5, 5)])
def test_all_pairings_together_give_the_expectation_exactly(shape: tuple[int, int]) -> None:
    maps = random_maps(1, "normal", (1, 6, *shape))
    positions = shape[0] * shape[1]
    pairs = np.array(list(itertools.product(range(positions), _strides(positions))), np.int32)
    apart = operators.reduce_maps(torch.from_numpy(maps), torch.from_numpy(pairs[None]))[2][4].numpy()
    mean = apart / (len(pairs) * (positions - 1))
    neighbours = shape[0] * (shape[1] - 1) + shape[1] * (shape[0] - 1)
    np.testing.assert_allclose(mean * neighbours, shuffled_variation(maps), rtol=1e-5)


@pytest.mark.parametrize("positions", [2, 7, 12, 49, 128, 3025])
def test_a_pairing_is_a_permutation_and_follows_from_the_key(positions: int) -> None:
    keys = np.array([5, -9, 2**62])
    pairs = Pairing(positions).draw(keys, keys, 3)
    assert pairs.shape[1] * positions >= 128
    for pairings in pairs:
        for partner in partners(pairings, positions):
            np.testing.assert_array_equal(np.sort(partner), np.arange(positions))
    np.testing.assert_array_equal(Pairing(positions).draw(keys[1:], keys[1:], 3), pairs[1:])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["normal", "relu", "offset", "smooth"])
def test_coherence_is_near_that_of_the_exact_expectation(monkeypatch: pytest.MonkeyPatch, path: str, kind: str) -> None:
    """200 images: values in random places have none, blurred ones much, whatever their offset and density."""
    take_path(monkeypatch, path)
    maps = random_maps(4, kind, (200, 20, 9, 7))
    if kind == "smooth":
        maps = maps.cumsum(2).cumsum(3)
    coherence = fed(maps, 32).result().coherence
    wanted = 1 - exact(maps)[0].sum(0) / shuffled_variation(maps).sum(0)
    np.testing.assert_allclose(coherence, wanted, atol=0.03)
    assert (coherence > 0.5).all() if kind == "smooth" else (np.abs(coherence) < 0.05).all()


def test_coherence_of_single_peaks_by_hand() -> None:
    """TV 4, and by chance 84 pairs of neighbours, each of them with the peak in 2 of 49 cases."""
    maps = np.zeros((400, 2, 7, 7), np.float32)
    maps[:, 0, 3, 3] = 2.5
    maps[:, 1, 2, 5] = np.arange(1, 401)
    np.testing.assert_allclose(fed(maps).result().coherence, 1 - 4 / (84 * 2 / 49), atol=0.02)


@pytest.mark.parametrize("change", [lambda maps: 1000 * maps, lambda maps: maps + 64, lambda maps: -maps])
def test_coherence_depends_neither_on_scale_nor_offset(change: Callable[[np.ndarray], np.ndarray]) -> None:
    maps = np.round(random_maps(8, "relu", (6, 20, 9, 9)))
    coherence = fed(change(maps)).result().coherence
    np.testing.assert_allclose(coherence, fed(maps).result().coherence, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS), shape=SHAPES, size=st.integers(1, 10))
def test_coherence_does_not_depend_on_batches(seed: int, kind: str, shape: tuple[int, ...], size: int) -> None:
    maps = random_maps(seed, kind, shape)
    keys = np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, len(maps))
    coherences = []
    for step in (size, 100):
        variation = Variation(*shape[1:], CPU)
        for start in range(0, len(maps), step):
            part = slice(start, start + step)
            images = ImageBatch(np.arange(len(maps[part])), keys=keys[part], seed=1)
            variation.update(Maps(torch.from_numpy(maps[part]), images))
        coherences.append(variation.result().coherence)
    np.testing.assert_allclose(*coherences, rtol=1e-6, atol=1e-6)


def test_constant_maps_and_single_positions_have_no_coherence() -> None:
    assert np.isnan(fed(random_maps(0, "constant", (3, 4, 5, 5))).result().coherence).all()
    assert np.isnan(fed(random_maps(0, "normal", (3, 4, 1, 1))).result().coherence).all()


# --- kernels ---------------------------------------------------------------------------------------------------------


def test_filter_smoothness_by_hand() -> None:
    kernels_ = np.zeros((4, 2, 3, 3), np.float32)
    kernels_[0, 0, 1, 1] = 3  # a peak
    kernels_[1] = 0.5  # constant
    kernels_[3, 0] = [[1, 2, 4], [1, -1, 0], [0, 0, 3]]  # TV 21, sum 12
    kernels_[3, 1] = -1  # TV 0, sum 9
    smoothness = filter_smoothness(kernels_)
    assert smoothness.dtype == np.float32
    np.testing.assert_allclose(smoothness, [0, 1, 1, 1 - 21 / (4 * 21)], rtol=1e-6)


@pytest.mark.parametrize("shape", [(8, 3, 7, 7), (5, 1, 3, 3), (6, 16, 1, 3), (6, 16, 3, 1)])
def test_filter_smoothness_is_that_of_the_kernel_as_a_map(shape: tuple[int, ...]) -> None:
    """All of a filter's input channels as so many images of one unit."""
    weights = random_maps(2, "normal", shape)
    for unit, smoothness in enumerate(filter_smoothness(weights)):
        np.testing.assert_allclose(smoothness, expected_smoothness(weights[unit][:, None])[0], rtol=1e-5)
        np.testing.assert_allclose(filter_smoothness(1000 * weights)[unit], smoothness, rtol=1e-5)


def test_filter_smoothness_of_single_weights_is_undefined() -> None:
    smoothness = filter_smoothness(random_maps(2, "normal", (7, 16, 1, 1)))
    assert smoothness.shape == (7,)
    assert np.isnan(smoothness).all()
