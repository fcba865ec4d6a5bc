"""Differences in the statistics of two devices are named."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest

from benchmarks.gpu.replay import activation_maps, check_layer
from benchmarks.gpu.setup import Record
from shapebias.precompute.measures.activation import LayerResult
from shapebias.precompute.statistics.topk import TopKResult

UNITS, TOP = 3, 4


@pytest.fixture
def layer() -> LayerResult:
    rng = np.random.default_rng(0)
    values = rng.random((8, UNITS)).astype(np.float32)
    names = ("max", "mean", "std", "sparsity", "q995", "tv", "coherence", "tied")
    top = TopKResult(
        value=np.sort(rng.random((UNITS, TOP)).astype(np.float32))[:, ::-1].copy(),
        image=rng.permutation(UNITS * TOP).reshape(UNITS, TOP),
        position=rng.integers(0, 9, (UNITS, TOP), np.int32),
        map=rng.integers(0, 250, (UNITS, TOP, 3, 3), np.uint8),
        tied=np.ones(UNITS, np.int64),
    )
    return LayerResult(dict(zip(names, values, strict=True)), top, 0)


def permute(layer: LayerResult) -> None:
    layer.top.image[1] = np.roll(layer.top.image[1], 1)


def move(layer: LayerResult) -> None:
    layer.top.position[0, 0] += 1


def weaken(layer: LayerResult) -> None:
    layer.top.value[2, 3] = np.nextafter(layer.top.value[2, 3], np.float32(0))


def paint(layer: LayerResult) -> None:
    layer.top.map[0, 0, 0, 0] += 2


def raise_threshold(layer: LayerResult) -> None:
    layer.metrics["q995"][0] = np.nextafter(layer.metrics["q995"][0], np.float32(2))


def raise_mean(layer: LayerResult) -> None:
    layer.metrics["mean"][0] += 3e-5


def undefine(layer: LayerResult) -> None:
    layer.metrics["coherence"][1] = np.nan


@pytest.mark.parametrize(
    ("plant", "violation"),
    [
        (permute, "the top images' image differs"),
        (move, "the top images' position differs"),
        (weaken, "the top images' value differs"),
        (paint, "the top images' maps differ by 2 of 255"),
        (raise_threshold, "q995 differs"),
        (raise_mean, "mean differs by 3.0e-05"),
        (undefine, "not the same units are undefined"),
    ],
)
def test_a_planted_difference_is_found(
    plant: Callable[[LayerResult], None], violation: str, layer: LayerResult
) -> None:
    changed, record = deepcopy(layer), Record("B", "statistics", 1)
    check_layer(record, "layer", layer, layer)
    assert record.violations == []
    plant(changed)
    check_layer(record, "layer", changed, layer)
    assert len(record.violations) == 1
    assert violation in record.violations[0]


def test_rounding_is_no_difference(layer: LayerResult) -> None:
    changed, record = deepcopy(layer), Record("B", "statistics", 1)
    changed.metrics["mean"][0] += 5e-6
    changed.top.map[0, 0, 0, 0] += 1
    check_layer(record, "layer", changed, layer)
    assert record.violations == []


def test_maps_have_what_is_rare() -> None:
    [maps] = activation_maps(((8, 5),), 12)
    assert (maps[:, 0] == 0).all()
    assert (maps[:, 1] == 0.5).sum() > 12
    assert not np.isfinite(maps[:, 2]).all()
    assert np.isfinite(maps[:, 2]).all((1, 2)).sum() == 8
    assert maps[:, 3].min() >= 1000
    assert maps[:, 4].max() < 0
    assert (np.ptp(maps[:, 5], (1, 2)) == 0).all()
