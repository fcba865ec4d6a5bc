"""ClassMeans against NumPy."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.precompute.statistics.class_means import ClassMeans
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from tests.support.statistics_paths import take_path

CPU = torch.device("cpu")
Kind = Literal["maximum", "average"]


def expected(maps: np.ndarray, labels: np.ndarray, kind: Kind = "maximum") -> np.ndarray:
    """(m1 - m2) / (m1 + m2) of the class means of the maps' maxima, or means, over the classes that have images."""
    exact = maps.astype(np.float64)
    activation = exact.max((2, 3)) if kind == "maximum" else exact.mean((2, 3))
    present = np.unique(labels[labels >= 0])
    if len(present) < 2:
        return np.full(maps.shape[1], np.nan)
    result = []
    for unit in range(maps.shape[1]):
        means = np.sort([activation[labels == label, unit].mean() for label in present])
        first, others = means[-1], means[:-1].mean()
        index = (first - others) / (first + others) if first + others else 0.0
        result.append(np.nan if means[0] < 0 else index)
    return np.array(result)


def fed(maps: np.ndarray, labels: np.ndarray, classes: int, size: int, kind: Kind = "maximum") -> ClassMeans:
    means = ClassMeans(maps.shape[1], classes, CPU, kind)
    for start in range(0, len(maps), size):
        part = slice(start, start + size)
        means.update(Maps(torch.from_numpy(maps[part]), ImageBatch(np.arange(len(maps))[part], labels[part])))
    return means


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 20),
    units=st.integers(1, 20),
    classes=st.integers(1, 6),
    size=st.integers(1, 21),
    cut=st.integers(0, 20),
    path=st.sampled_from(["cpu", "torch"]),
    kind=st.sampled_from(["maximum", "average"]),
    least=st.sampled_from([0.0, -0.3]),
)
def test_any_split_equals_numpy(
    seed: int, images: int, units: int, classes: int, size: int, cut: int, path: str, kind: Kind, least: float
) -> None:
    rng = np.random.default_rng(seed)
    maps = np.maximum(rng.normal(size=(images, units, 3, 2)), least).astype(np.float32)
    maps[:, 0] = 0
    labels = rng.integers(-1, classes, images)
    with pytest.MonkeyPatch.context() as patch:
        take_path(patch, path)
        whole = fed(maps, labels, classes, size, kind)
        merged = fed(maps[:cut], labels[:cut], classes, size, kind)
        merged.merge(fed(maps[cut:], labels[cut:], classes, size, kind))
    np.testing.assert_allclose(whole.result(), expected(maps, labels, kind), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(merged.result(), expected(maps, labels, kind), rtol=1e-5, atol=1e-6)


def test_a_unit_of_one_class_has_selectivity_1_and_a_dead_one_0() -> None:
    maps = np.zeros((4, 2, 1, 1), np.float32)
    maps[2:, 0] = 5
    np.testing.assert_array_equal(fed(maps, np.array([0, 0, 1, 1]), 2, 3).result(), [1, 0])


def test_fewer_than_two_classes_are_nan() -> None:
    maps = np.ones((3, 2, 1, 1), np.float32)
    assert np.isnan(fed(maps, np.array([0, 0, -1]), 5, 2).result()).all()
    assert np.isnan(fed(maps, np.full(3, -1), 5, 2).result()).all()


def test_the_maximum_and_the_mean_tell_units_apart() -> None:
    """A unit that fires everywhere for class 1, and at one of four positions as strongly for class 0."""
    maps = np.zeros((2, 1, 2, 2), np.float32)
    maps[0, 0, 0, 0] = maps[1] = 3
    labels = np.array([0, 1])
    assert fed(maps, labels, 2, 2).result() == [0]
    assert fed(maps, labels, 2, 2, "average").result() == [np.float32((3 - 0.75) / (3 + 0.75))]
