"""TopK against a full sort by value, mean and key, in whatever order the images come."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.topk import TopK, TopKResult
from tests.support.statistics_paths import PATHS, take_path

CPU = torch.device("cpu")
KINDS = ["normal", "repeated", "relu", "negative", "constant", "zero", "sparse", "saturated"]


def random_maps(seed: int, kind: str, shape: tuple[int, int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=shape) * rng.uniform(0.01, 100)
    if kind == "repeated":  # many ties, between images and inside a map
        maps = rng.integers(-2, 3, shape)
    elif kind == "relu":
        maps = np.maximum(maps, 0)
    elif kind == "negative":
        maps = -np.abs(maps) - 1
    elif kind == "constant":
        maps = np.full(shape, rng.normal())
    elif kind == "zero":
        maps = np.zeros(shape)
    elif kind == "sparse":
        maps = np.where(rng.random(shape) < 0.05, rng.integers(1, 4, shape), 0)
    elif kind == "saturated":  # as ReLU6
        maps = np.clip(rng.normal(2, 3, shape), 0, 6)
    return maps.astype(np.float32)


def key_of(images: np.ndarray) -> np.ndarray:
    """Some order of the images that is not theirs; int64, of either sign."""
    with np.errstate(over="ignore"):
        return (images.astype(np.int64) + 1) * np.int64(-7046029254386353131)


def fed(maps: np.ndarray, images: np.ndarray, k: int, size: int) -> TopK:
    top = TopK(maps.shape[1], k, *maps.shape[2:], device=CPU)
    for start in range(0, len(maps), size):
        part = slice(start, start + size)
        top.update(Maps(torch.from_numpy(maps[part]), ImageBatch(images[part], keys=key_of(images[part]))))
    return top


def check(result: TopKResult, maps: np.ndarray, images: np.ndarray, k: int) -> None:
    count, units = maps.shape[:2]
    positions = maps.shape[2] * maps.shape[3]
    filled = min(k, count)
    for unit in range(units):
        flat = maps[:, unit].reshape(count, positions)
        activation = flat.max(1)
        average = flat.astype(np.float64).mean(1).astype(np.float32)
        order = np.lexsort((key_of(images), -average, -activation))[:filled]
        np.testing.assert_array_equal(result.value[unit, :filled], activation[order])
        np.testing.assert_array_equal(result.image[unit, :filled], images[order])
        np.testing.assert_array_equal(result.position[unit, :filled], flat[order].argmax(1))
        assert result.tied[unit] == (activation == activation.max()).sum()
        assert np.isnan(result.value[unit, filled:]).all()
        assert (result.image[unit, filled:] == -1).all()
        peak = activation.max()
        scaled = 255 * np.maximum(flat[order].astype(np.float64), 0) / peak if peak > 0 else 0 * flat[order]
        difference = result.map[unit, :filled].reshape(filled, positions) - np.round(scaled)
        assert np.abs(difference).max(initial=0) <= 1
        if peak > 0:
            assert result.map[unit, 0].max() == 255


SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 35), st.integers(1, 5), st.integers(1, 5))


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    k=st.integers(1, 8),
    size=st.integers(1, 15),
)
def test_any_maps_in_any_batches_equal_a_full_sort(
    seed: int, kind: str, shape: tuple[int, int, int, int], k: int, size: int
) -> None:
    maps = random_maps(seed, kind, shape)
    images = np.cumsum(np.random.default_rng(seed).integers(1, 9, len(maps)))
    check(fed(maps, images, k, size).result(), maps, images, k)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    k=st.integers(1, 8),
    size=st.integers(1, 15),
    cut=st.integers(0, 14),
)
def test_two_halves_merged_equal_a_full_sort(
    seed: int, kind: str, shape: tuple[int, int, int, int], k: int, size: int, cut: int
) -> None:
    maps = random_maps(seed, kind, shape)
    images = np.arange(len(maps))
    merged = fed(maps[:cut], images[:cut], k, size)
    merged.merge(fed(maps[cut:], images[cut:], k, size))
    check(merged.result(), maps, images, k)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    k=st.integers(1, 8),
    size=st.integers(1, 15),
    cut=st.integers(0, 14),
)
def test_the_device_path_equals_a_full_sort(
    seed: int, kind: str, shape: tuple[int, int, int, int], k: int, size: int, cut: int
) -> None:
    maps = random_maps(seed, kind, shape)
    images = np.arange(len(maps)) + 3
    with pytest.MonkeyPatch.context() as patch:
        take_path(patch, "torch")
        check(fed(maps, images, k, size).result(), maps, images, k)
        merged = fed(maps[:cut], images[:cut], k, size)
        merged.merge(fed(maps[cut:], images[cut:], k, size))
        check(merged.result(), maps, images, k)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    k=st.integers(1, 8),
    size=st.integers(1, 15),
    cut=st.integers(0, 14),
    path=st.sampled_from(["cpu", "torch"]),
)
def test_the_order_of_the_images_changes_nothing(
    seed: int, kind: str, shape: tuple[int, int, int, int], k: int, size: int, cut: int, path: str
) -> None:
    maps = random_maps(seed, kind, shape)
    images = np.random.default_rng(seed).permutation(len(maps))
    with pytest.MonkeyPatch.context() as patch:
        take_path(patch, path)
        merged = fed(maps[cut:], images[cut:], k, size)
        merged.merge(fed(maps[:cut], images[:cut], k, size))
    check(merged.result(), maps, images, k)


def test_updates_go_on_after_a_merge() -> None:
    maps = random_maps(8, "repeated", (12, 20, 3, 4))
    images = np.arange(12)
    top = fed(maps[:4], images[:4], 5, 3)
    top.merge(fed(maps[4:8], images[4:8], 5, 2))
    top.update(Maps(torch.from_numpy(maps[8:]), ImageBatch(images[8:], keys=key_of(images[8:]))))
    check(top.result(), maps, images, 5)


def test_both_paths_keep_the_same_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = random_maps(9, "normal", (20, 18, 6, 7))
    images = np.arange(20)
    on_cpu = fed(maps, images, 4, 6).result()
    take_path(monkeypatch, "torch")
    on_device = fed(maps, images, 4, 6).result()
    assert np.abs(on_cpu.map.astype(int) - on_device.map).max() <= 1  # one may divide where the other multiplies
    np.testing.assert_array_equal(on_cpu.position, on_device.position)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [1e-30, 1e-36, 1e-37, 1e30, 3e38])
def test_maps_of_extreme_size_are_scaled_too(monkeypatch: pytest.MonkeyPatch, path: str, size: float) -> None:
    shape = np.array([[0, 1, 2, 4]], np.float64) / 4
    maps = np.tile((shape * size).astype(np.float32), (3, 2, 1, 1))
    take_path(monkeypatch, path)
    result = fed(maps, np.arange(3), 2, 2).result()
    np.testing.assert_array_equal(result.image, [np.argsort(key_of(np.arange(3)))[:2]] * 2)
    assert np.abs(result.map[0, 0, 0].astype(int) - np.array([0, 64, 128, 255])).max() <= 1


@pytest.mark.parametrize("path", PATHS)
def test_a_map_of_nan_takes_no_place(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A float16 forward can overflow; its images must not push the others out."""
    maps = random_maps(1, "normal", (6, 3, 2, 2))
    maps[2] = np.nan
    take_path(monkeypatch, path)
    result = fed(maps, np.arange(6), 4, 2).result()
    sane = np.delete(np.arange(6), 2)
    check(result, maps[sane], sane, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_warns_of_nothing(kind: str) -> None:
    """NumPy's warnings would reach the user's terminal."""
    maps = random_maps(0, kind, (3, 20, 2, 2)) * np.float32(100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fed(maps, np.arange(3), 5, 2).result()
