"""Counts of overlapping pixels against all maps, upsampled by torch in float64 and counted one by one."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from shapebias.core.concepts import IOU_AREAS, Concepts
from shapebias.precompute.images.annotations import Labels
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.overlap import AnnotatedMaps, Overlap, ShownConcepts
from tests.support.statistics_paths import PATHS, take_path

CPU = torch.device("cpu")
CONCEPTS = Concepts(tuple("abcdefg"), (0, 0, 1, 1, 1, 2, 2), ("color", "object", "scene"))


def random_maps(seed: int, images: int, units: int, height: int, width: int) -> np.ndarray:
    maps = np.random.default_rng(seed).standard_normal((images, units, height, width)).astype(np.float32)
    maps[:, 0] = 0  # a dead unit
    maps[0, 1] = np.float32(0.3)  # a plateau
    return maps


def random_labels(seed: int, images: int, height: int, width: int) -> Labels:
    """Two planes, the second with other labels than the first; some images without any of a category, or whole."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 3, (images, 2, height * width)).astype(np.uint16)
    planes[:, 1] = np.where(planes[:, 1] > 0, planes[:, 1] + 2, 0)
    planes[::3, 1] = 0
    whole = np.zeros((images, 2), np.uint16)
    whole[::2, 0], whole[::4, 1] = 6, 7
    return Labels(planes, whole, CONCEPTS, height=height, width=width)


def brute_force(maps: np.ndarray, threshold: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Intersections and unions, int64 [units, concepts]."""
    size = (labels.height, labels.width)
    large = interpolate(torch.from_numpy(maps).double(), size, mode="bilinear", align_corners=False).flatten(2).numpy()
    above = large > threshold[:, None].astype(np.float64)
    shape = (maps.shape[1], len(CONCEPTS))
    intersection, union = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for image in range(len(maps)):
        masks = [(labels.planes[image] == n).any(0) | (labels.whole[image] == n).any() for n in range(1, shape[1] + 1)]
        carried = {CONCEPTS.category[index] for index, mask in enumerate(masks) if mask.any()}
        for index, mask in enumerate(masks):
            intersection[:, index] += (above[image] & mask).sum(1)
            if CONCEPTS.category[index] in carried:
                union[:, index] += (above[image] | mask).sum(1)
    return intersection, union


def counts(overlap: Overlap) -> tuple[np.ndarray, np.ndarray]:
    intersection = overlap.shared[:, 1:].numpy()
    activation = overlap.activation.numpy()[:, list(CONCEPTS.category)]
    return intersection, activation + overlap.truth[1:] - intersection


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("size", "annotation"),
    [((5, 7), (16, 12)), ((1, 1), (4, 4)), ((13, 13), (28, 28)), ((9, 9), (9, 9)), ((8, 8), (5, 3))],
)
def test_counts_are_exactly_those_of_torch_in_float64(
    monkeypatch: pytest.MonkeyPatch, path: str, size: tuple[int, int], annotation: tuple[int, int]
) -> None:
    take_path(monkeypatch, path)
    maps = random_maps(1, 7, 20, *size)
    threshold = np.linspace(-1, 2, 20).astype(np.float32)
    threshold[0], threshold[1], threshold[2] = 0, 0.29, np.nan
    labels = random_labels(2, 7, *annotation)
    overlap = Overlap(threshold, CONCEPTS, CPU)
    overlap.update(AnnotatedMaps(Maps(torch.from_numpy(maps)), ShownConcepts.of(labels)))
    for counted, expected in zip(counts(overlap), brute_force(maps, threshold, labels), strict=True):
        np.testing.assert_array_equal(counted, expected)


def test_batches_and_merged_halves_are_one() -> None:
    maps, labels = random_maps(3, 8, 20, 6, 6), random_labels(4, 8, 12, 12)
    threshold = np.full(20, 0.7, np.float32)
    parts = []
    for first, last in ((0, 3), (3, 8)):
        part = Overlap(threshold, CONCEPTS, CPU)
        some = Labels(labels.planes[first:last], labels.whole[first:last], CONCEPTS, height=12, width=12)
        part.update(AnnotatedMaps(Maps(torch.from_numpy(maps[first:last])), ShownConcepts.of(some)))
        parts.append(part)
    parts[0].merge(parts[1])
    for counted, expected in zip(counts(parts[0]), brute_force(maps, threshold, labels), strict=True):
        np.testing.assert_array_equal(counted, expected)


def lite_areas(maps: np.ndarray, threshold: np.ndarray, labels: Labels) -> np.ndarray:
    """A unit's pixels for each category, int64 [units, categories], as NetDissect-Lite's tally_job has it: an image's
    count where the unit's pixels there, or its labels of the whole image, hold a label of the category."""
    size = (labels.height, labels.width)
    tally = np.zeros((maps.shape[1], len(CONCEPTS.categories)), np.int64)
    for image, image_maps in enumerate(maps):
        for unit, unit_map in enumerate(image_maps):
            large = interpolate(torch.from_numpy(unit_map[None, None]).double(), size, mode="bilinear").flatten()
            indexes = np.flatnonzero(large.numpy() > np.float64(threshold[unit]))
            if len(indexes):
                hit = [*labels.planes[image][:, indexes].ravel().tolist(), *labels.whole[image].tolist()]
                for category in {CONCEPTS.category[label - 1] for label in hit if label > 0}:
                    tally[unit, category] += len(indexes)
    return tally


@pytest.mark.parametrize("path", PATHS)
def test_areas_as_in_netdissect_lite(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    take_path(monkeypatch, path)
    maps, labels = random_maps(11, 9, 20, 6, 6), random_labels(12, 9, 12, 12)
    labels.planes[:, :, 40:] = 0  # so that units fire off all labels, too
    threshold = np.linspace(0.5, 2.2, 20).astype(np.float32)
    published, lite = (Overlap(threshold, CONCEPTS, CPU, area) for area in IOU_AREAS)
    for overlap in (published, lite):
        overlap.update(AnnotatedMaps(Maps(torch.from_numpy(maps)), ShownConcepts.of(labels)))
    expected = lite_areas(maps, threshold, labels)
    np.testing.assert_array_equal(lite.activation.numpy(), expected)
    np.testing.assert_array_equal(lite.shared.numpy(), published.shared.numpy())
    assert (expected < published.activation.numpy()).any()


@pytest.mark.parametrize("path", PATHS)
def test_a_map_with_a_nan_fires_nowhere(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    take_path(monkeypatch, path)
    maps, labels = random_maps(5, 4, 20, 6, 6), random_labels(6, 4, 12, 12)
    threshold = np.full(20, 0.7, np.float32)
    broken = maps.copy()
    broken[1, 4, 2, 2], broken[2, 5, 0, 0] = np.nan, np.inf
    maps[1, 4] = maps[2, 5] = -9
    overlap = Overlap(threshold, CONCEPTS, CPU)
    overlap.update(AnnotatedMaps(Maps(torch.from_numpy(broken)), ShownConcepts.of(labels)))
    for counted, expected in zip(counts(overlap), brute_force(maps, threshold, labels), strict=True):
        np.testing.assert_array_equal(counted, expected)


def test_the_best_concept_of_each_category() -> None:
    maps, labels = random_maps(7, 8, 20, 6, 6), random_labels(8, 8, 12, 12)
    overlap = Overlap(np.full(20, 0.7, np.float32), CONCEPTS, CPU)
    overlap.update(AnnotatedMaps(Maps(torch.from_numpy(maps)), ShownConcepts.of(labels)))
    detected, diversity = overlap.result()
    intersection, union = brute_force(maps, np.full(20, 0.7, np.float32), labels)
    iou = intersection / np.maximum(union, 1)
    np.testing.assert_allclose(detected.score[1:], iou.max(1)[1:])
    assert detected.undecided.tolist() == [True] + [False] * 19
    assert np.isnan(detected.score[0]), "it is dead"
    assert detected.concept[0] == -1
    np.testing.assert_array_equal(detected.concept[1:], iou.argmax(1)[1:])
    np.testing.assert_array_equal(detected.best[1:], np.array(CONCEPTS.category)[iou.argmax(1)[1:]])
    np.testing.assert_array_equal(diversity[1:], (iou >= 0.04).sum(1)[1:])
    assert np.isnan(diversity[0])
    for index in range(3):
        members = [concept for concept, category in enumerate(CONCEPTS.category) if category == index]
        np.testing.assert_allclose(detected.iou[:, index], iou[:, members].max(1))


@pytest.mark.parametrize("path", PATHS)
def test_values_equal_to_the_threshold_do_not_exceed_it(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Bounded units (ReLU6) have many values that are T. Weighted sums of equal values are not always that value."""
    take_path(monkeypatch, path)
    values = np.linspace(0.1, 6, 40).astype(np.float32)
    maps = np.tile(values[None, :, None, None], (2, 1, 7, 7))
    maps[:, ::2, 3, 3] -= 1
    overlap = Overlap(values, CONCEPTS, CPU)
    overlap.update(AnnotatedMaps(Maps(torch.from_numpy(maps)), ShownConcepts.of(random_labels(9, 2, 28, 28))))
    assert not overlap.shared.any()
    assert not overlap.activation.any()
