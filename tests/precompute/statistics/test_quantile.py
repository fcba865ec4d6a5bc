"""Quantile against a full sort: exact where everything is sampled, within its rank error where not."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.quantile import SAMPLE, Quantile
from tests.support.statistics_paths import take_path

CPU = torch.device("cpu")
RANK_ERROR = 0.0005


def random_maps(seed: int, kind: str, shape: tuple[int, int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=shape)
    if kind == "repeated":
        maps = rng.integers(-2, 3, shape)
    elif kind == "relu":
        maps = np.maximum(maps - 1, 0)
    elif kind == "negative":
        maps = -np.exp(maps)
    elif kind == "zero":
        maps = np.zeros(shape)
    elif kind == "ascending":  # every image above all earlier ones: the list is renewed all the time
        maps = np.sort(maps.reshape(-1, shape[1]), axis=0).reshape(shape[0], shape[2], shape[3], shape[1])
        maps = maps.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(maps, np.float32)


KINDS = ["normal", "repeated", "relu", "negative", "zero", "ascending"]
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 35), st.integers(1, 12), st.integers(1, 12))


def fed(maps: np.ndarray, size: int, first: int = 0, planned: int | None = None, seed: int = 0) -> Quantile:
    positions = maps.shape[2] * maps.shape[3]
    quantile = Quantile(maps.shape[1], positions, planned or len(maps), CPU)
    feed(quantile, maps, size, first, seed)
    return quantile


def feed(quantile: Quantile, maps: np.ndarray, size: int, first: int = 0, seed: int = 0) -> None:
    for start in range(0, len(maps), size):
        part = maps[start : start + size]
        quantile.update(
            Maps(torch.from_numpy(part), ImageBatch(np.arange(first + start, first + start + len(part)), seed=seed))
        )


def exact(maps: np.ndarray) -> np.ndarray:
    """The value with floor(0.005 n) values before it in descending order: a fraction of at most 0.005 is above it."""
    values = np.sort(maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1), axis=1)[:, ::-1]
    return values[:, math.floor(0.005 * values.shape[1] + 1e-9)]


def check_exact(result: np.ndarray, maps: np.ndarray) -> None:
    np.testing.assert_array_equal(result, exact(maps))
    flat = maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
    assert (np.quantile(flat, 0.995, axis=1, method="lower") <= result).all()
    assert (result <= np.quantile(flat, 0.995, axis=1, method="higher")).all()
    assert ((flat > result[:, None]).mean(1) <= 0.005 + 1e-12).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS), shape=SHAPES, size=st.integers(1, 13))
def test_a_small_set_is_exact_in_any_batches(seed: int, kind: str, shape: tuple[int, int, int, int], size: int) -> None:
    maps = random_maps(seed, kind, shape)
    check_exact(fed(maps, size).result(), maps)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    size=st.integers(1, 13),
    cut=st.integers(0, 12),
)
def test_two_halves_merged_are_exact(
    seed: int, kind: str, shape: tuple[int, int, int, int], size: int, cut: int
) -> None:
    maps = random_maps(seed, kind, shape)
    merged = fed(maps[:cut], size, planned=len(maps))
    merged.merge(fed(maps[cut:], size, first=cut, planned=len(maps)))
    check_exact(merged.result(), maps)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    size=st.integers(1, 13),
    cut=st.integers(0, 12),
)
def test_the_device_path_is_exact(seed: int, kind: str, shape: tuple[int, int, int, int], size: int, cut: int) -> None:
    maps = random_maps(seed, kind, shape)
    with pytest.MonkeyPatch.context() as patch:
        take_path(patch, "torch")
        check_exact(fed(maps, size).result(), maps)
        merged = fed(maps[:cut], size, planned=len(maps))
        merged.merge(fed(maps[cut:], size, first=cut, planned=len(maps)))
    check_exact(merged.result(), maps)


@pytest.mark.parametrize("kind", ["normal", "repeated", "negative", "ascending"])
def test_lists_that_overflow_many_times_stay_exact(kind: str) -> None:
    maps = random_maps(2, kind, (400, 17, 30, 30))
    check_exact(fed(maps, 7).result(), maps)


def test_updates_go_on_after_a_merge() -> None:
    maps = random_maps(4, "normal", (300, 3, 20, 20))
    quantile = fed(maps[:100], 9, planned=300)
    quantile.merge(fed(maps[100:200], 9, first=100, planned=300))
    feed(quantile, maps[200:], 9, first=200)
    check_exact(quantile.result(), maps)


def rank_error(result: np.ndarray, maps: np.ndarray) -> float:
    """Return how far 0.005 is from the fractions of values above T and not below T (equal values share their ranks)."""
    flat = maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
    above, least = (flat > result[:, None]).mean(1), (flat >= result[:, None]).mean(1)
    return float(np.maximum(above - 0.005, 0.005 - least).clip(min=0).max())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["smooth", "ascending"])
def test_a_sampled_layer_keeps_its_rank_error(kind: str, seed: int) -> None:
    images, side = 150, 112
    rng = np.random.default_rng(seed)
    if kind == "smooth":  # neighbours alike, images different in strength: what a sample could get wrong
        coarse = torch.from_numpy(rng.normal(size=(images, 2, 9, 9)).astype(np.float32))
        maps = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").numpy()
        maps = np.maximum(maps * rng.exponential(size=(images, 2, 1, 1)), 0).astype(np.float32)
    else:
        maps = random_maps(seed, "ascending", (images, 2, side, side))
    quantile = fed(maps, 32, seed=seed)
    assert quantile.sampled < 0.9 * images * side * side  # it does sample
    assert rank_error(quantile.result(), maps) <= RANK_ERROR


def test_a_sample_is_the_same_in_any_batches_and_halves_and_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = random_maps(6, "normal", (120, 2, 80, 80))
    whole = fed(maps, 120).result()
    np.testing.assert_array_equal(fed(maps, 11).result(), whole)
    merged = fed(maps[:50], 7, planned=120)
    merged.merge(fed(maps[50:], 13, first=50, planned=120))
    np.testing.assert_array_equal(merged.result(), whole)
    assert (fed(maps, 120, seed=1).result() != whole).any()
    take_path(monkeypatch, "torch")
    np.testing.assert_array_equal(fed(maps, 50).result(), whole)


@pytest.mark.parametrize("images", [50_000, 170_000, 290_000, 500_000])
def test_many_images_keep_the_rank_error(images: int) -> None:
    """Few positions an image: their number is rounded up, which must not make the list too short."""
    maps = np.random.default_rng(images).normal(size=(images, 1, 4, 3)).astype(np.float32)
    quantile = fed(maps, 10_000)
    assert rank_error(quantile.result(), maps) <= RANK_ERROR


def test_more_images_than_the_sample_keep_the_rank_error() -> None:
    images = SAMPLE + SAMPLE // 2
    maps = np.random.default_rng(0).normal(size=(images, 1, 1, 2)).astype(np.float32)
    quantile = fed(maps, 50_000)
    assert rank_error(quantile.result(), maps) <= RANK_ERROR


def test_fewer_images_than_planned_are_exact() -> None:
    """Broken images are planned for, and do not come."""
    maps = random_maps(1, "normal", (20, 5, 14, 14))
    check_exact(fed(maps, 6, planned=26).result(), maps)


def test_nothing_seen_is_nan() -> None:
    assert np.isnan(Quantile(4, 9, 10, CPU).result()).all()
