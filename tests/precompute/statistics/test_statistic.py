"""Every statistic is a monoid whose state can be kept: the empty one changes nothing, halves merge to the whole."""

from collections.abc import Callable
from dataclasses import astuple, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from shapebias.core.concepts import Concepts, LayerConcepts
from shapebias.precompute.images.annotations import Labels
from shapebias.precompute.measures.activation import LayerStatistics, StatisticsPlan
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.parts import WithoutPrefix
from shapebias.precompute.statistics.class_means import ClassMeans
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.moments import Moments
from shapebias.precompute.statistics.overlap import AnnotatedMaps, Overlap, ShownConcepts
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.statistics.statistic import Statistic, merge_parts, to_part
from shapebias.precompute.statistics.topk import TopK
from shapebias.precompute.statistics.variation import Variation

CPU = torch.device("cpu")
IMAGES, UNITS, SIDE, CLASSES, PLANNED = 12, 18, 5, 3, 12
CONCEPTS = Concepts(("red", "blue", "cat"), (0, 0, 1), ("color", "object"))

EMPTY: dict[str, Callable[[], Statistic[Any, Any]]] = {
    "moments": lambda: Moments(UNITS, CPU),
    "top images": lambda: TopK(UNITS, 4, SIDE, SIDE, device=CPU),
    "quantile": lambda: Quantile(UNITS, SIDE * SIDE, PLANNED, CPU, q=0.9),
    "variation": lambda: Variation(UNITS, SIDE, SIDE, CPU),
    "class means": lambda: ClassMeans(UNITS, CLASSES, CPU),
    "class averages": lambda: ClassMeans(UNITS, CLASSES, CPU, "average"),
    "overlap": lambda: Overlap(np.linspace(-1, 1, UNITS).astype(np.float32), CONCEPTS, CPU),
    "layer": lambda: LayerStatistics(
        WatchedLayer("layer", "layer", 0, UNITS, SIDE, SIDE), StatisticsPlan(4, PLANNED, CLASSES), CPU
    ),
}


def batch(name: str, first: int, last: int) -> Maps | AnnotatedMaps:
    """Some of a dozen images, with NaN or infinite values in one of the first half."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(IMAGES, UNITS, SIDE, SIDE)).astype(np.float32)
    maps[2, 3, 1, 1] = np.nan
    labels = rng.integers(-1, CLASSES, IMAGES)
    planes = rng.integers(0, 4, (IMAGES, 1, 64)).astype(np.uint16)
    some = slice(first, last)
    taken = Maps(torch.from_numpy(maps[some].copy()), ImageBatch(np.arange(first, last), labels[some]))
    if name != "overlap":
        return taken
    cut = Labels(planes[some], np.zeros((last - first, 1), np.uint16), CONCEPTS, height=8, width=8)
    return AnnotatedMaps(taken, ShownConcepts.of(cut))


def fed(name: str, *bounds: int) -> Statistic[Any, Any]:
    statistic = EMPTY[name]()
    for first, last in pairwise(bounds):
        statistic.update(batch(name, first, last))
    return statistic


def numbers(result: Any) -> list[np.ndarray]:
    """All arrays and numbers of a result, one after another."""
    if isinstance(result, dict):
        return [array for value in result.values() for array in numbers(value)]
    if isinstance(result, LayerConcepts):
        return [result.label, result.intersection, result.activation, result.truth]
    if is_dataclass(result) and not isinstance(result, type):
        return [array for value in astuple(result) for array in numbers(value)]
    if isinstance(result, tuple):
        return [array for value in result for array in numbers(value)]
    return [np.asarray(result)]


def check_equal(one: Statistic[Any, Any], other: Statistic[Any, Any]) -> None:
    results, expected = numbers(one.result()), numbers(other.result())
    assert len(results) == len(expected) > 0
    for values, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", EMPTY)
def test_merged_parts_are_the_whole(name: str) -> None:
    whole = fed(name, 0, IMAGES)
    check_equal(fed(name, 0, 5, 9, IMAGES), whole)
    left, middle, right = fed(name, 0, 5), fed(name, 5, 9), fed(name, 9, IMAGES)
    left.merge(middle)
    left.merge(right)
    check_equal(left, whole)
    left, middle, right = fed(name, 0, 5), fed(name, 5, 9), fed(name, 9, IMAGES)
    middle.merge(right)
    left.merge(middle)
    check_equal(left, whole)


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_statistic_is_neutral(name: str) -> None:
    whole = fed(name, 0, IMAGES)
    left, right = EMPTY[name](), fed(name, 0, IMAGES)
    left.merge(fed(name, 0, IMAGES))
    right.merge(EMPTY[name]())
    check_equal(left, whole)
    check_equal(right, whole)


@pytest.mark.parametrize("name", EMPTY)
def test_a_state_is_all_that_was_seen(name: str) -> None:
    state = fed(name, 0, 7).state_dict()
    assert all(isinstance(array, np.ndarray) for array in state.values())
    again = fed(name, 7, IMAGES)  # what it knew goes
    again.load_state_dict(state)
    check_equal(again, fed(name, 0, 7))
    again.update(batch(name, 7, IMAGES))
    check_equal(again, fed(name, 0, IMAGES))


def test_parts_are_merged_by_name() -> None:
    names = {"a": "moments", "b.c": "variation"}
    parts = [
        to_part({key: fed(name, first, last) for key, name in names.items()}) for first, last in ((0, 5), (5, IMAGES))
    ]
    assert list(WithoutPrefix(parts[0], "b.c")) == ["total", "expected", "absolute", "images"]
    merged = merge_parts(lambda: {key: EMPTY[name]() for key, name in names.items()}, parts)
    assert list(merged) == list(names)
    for key, name in names.items():
        check_equal(merged[key], fed(name, 0, IMAGES))
