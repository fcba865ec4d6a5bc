"""ClassMeans against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics.class_means import ClassMeans
from shapebias.precompute.statistics.maps import Maps

CPU = torch.device("cpu")


def expected(maps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(m1 - m2) / (m1 + m2) of the class means of the images' maxima, over the classes that have images."""
    activation = maps.max((2, 3)).astype(np.float64)
    present = np.unique(labels[labels >= 0])
    if len(present) < 2:
        return np.full(maps.shape[1], np.nan)
    result = []
    for unit in range(maps.shape[1]):
        means = np.sort([activation[labels == label, unit].mean() for label in present])
        first, others = means[-1], means[:-1].mean()
        result.append((first - others) / (first + others) if first + others else 0.0)
    return np.array(result)


def fed(maps: np.ndarray, labels: np.ndarray, classes: int, size: int) -> ClassMeans:
    means = ClassMeans(maps.shape[1], classes, CPU)
    for start in range(0, len(maps), size):
        part = slice(start, start + size)
        means.update(Maps(torch.from_numpy(maps[part]), np.arange(len(maps))[part], labels[part]))
    return means


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 20),
    units=st.integers(1, 20),
    classes=st.integers(1, 6),
    size=st.integers(1, 21),
    cut=st.integers(0, 20),
    on_cpu=st.booleans(),
)
def test_any_split_equals_numpy(
    seed: int, images: int, units: int, classes: int, size: int, cut: int, on_cpu: bool
) -> None:
    rng = np.random.default_rng(seed)
    maps = np.maximum(rng.normal(size=(images, units, 3, 2)), 0).astype(np.float32)
    maps[:, 0] = 0
    labels = rng.integers(-1, classes, images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maps, "on_cpu", property(lambda _: on_cpu))
        whole = fed(maps, labels, classes, size)
        merged = fed(maps[:cut], labels[:cut], classes, size)
        merged.merge(fed(maps[cut:], labels[cut:], classes, size))
    np.testing.assert_allclose(whole.result(), expected(maps, labels), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(merged.result(), expected(maps, labels), rtol=1e-5, atol=1e-6)


def test_a_unit_of_one_class_has_selectivity_1_and_a_dead_one_0() -> None:
    maps = np.zeros((4, 2, 1, 1), np.float32)
    maps[2:, 0] = 5
    np.testing.assert_array_equal(fed(maps, np.array([0, 0, 1, 1]), 2, 3).result(), [1, 0])


def test_fewer_than_two_classes_are_nan() -> None:
    maps = np.ones((3, 2, 1, 1), np.float32)
    assert np.isnan(fed(maps, np.array([0, 0, -1]), 5, 2).result()).all()
    assert np.isnan(fed(maps, np.full(3, -1), 5, 2).result()).all()
