"""Components, boxes and their overlaps against scikit-image and plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from shapebias.core.attribution.localising import (
    FEWEST,
    box_around,
    inside,
    iou,
    largest_component_boxes,
    localised,
    overlaps,
)

THRESHOLDS = (0.0, 0.25, 0.5, 0.9)


def by_skimage(mask: np.ndarray) -> list[int]:
    """Left, top, right, bottom of the largest component, the first of equally large ones."""
    regions = regionprops(label(mask, connectivity=2))
    if not regions:
        return [0, 0, 0, 0]
    top, left, bottom, right = max(regions, key=lambda region: region.area).bbox
    return [left, top, right, bottom]


@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 24), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_the_largest_component_is_scikit_images(seed: int, height: int, width: int, share: float) -> None:
    masks = np.random.default_rng(seed).random((3, height, width)) < share
    masks[1] = np.indices((height, width)).sum(0) % 2 == 0  # a chess board: corners that touch
    assert largest_component_boxes(masks).tolist() == [by_skimage(mask) for mask in masks]


def test_a_long_winding_component_is_one() -> None:
    spiral = np.zeros((41, 41), bool)
    for ring in range(0, 20, 4):
        spiral[ring : 41 - ring, [ring, 40 - ring]] = True
        spiral[[ring, 40 - ring], ring : 41 - ring] = True
        spiral[ring + 1 : ring + 4, ring + 2] = True  # to the next ring
    assert largest_component_boxes(spiral[None]).tolist() == [by_skimage(spiral)] == [[0, 0, 41, 41]]


def test_boxes_of_no_masks() -> None:
    assert largest_component_boxes(np.zeros((0, 5, 5), bool)).shape == (0, 4)
    assert largest_component_boxes(np.zeros((2, 5, 5), bool)).tolist() == [[0] * 4] * 2


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), min_size=2, max_size=2))
def test_iou_counts_pixels(corners: list[tuple[int, int, int, int]]) -> None:
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners], np.float64)
    first, second = (inside(box[None], 13, 13) for box in boxes)
    union = (first | second).sum()
    assert iou(boxes[0], boxes[1]) == pytest.approx((first & second).sum() / union if union else 0)


def test_box_and_inside_are_inverse() -> None:
    box = np.array([[2.0, 3.0, 7.0, 5.0]])
    mask = inside(box, 8, 9)
    assert mask.sum() == 10
    assert box_around(mask).tolist() == box[0].tolist()
    half = inside(np.array([[1.5, 0, 2.5, 1]]), 1, 4)  # pixels whose middle is in it
    assert half.tolist() == [[False, True, False, False]]


def test_overlaps_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([[1.0, 2.0, 9.0, 11.0], [5.0, 5.0, 14.0, 15.0]])
    for _ in range(20):
        evidence = np.clip(rng.standard_normal((16, 15)).cumsum(0).cumsum(1), 0, None).astype(np.float32)
        wanted = []
        for threshold in THRESHOLDS:
            left, top, right, bottom = by_skimage(evidence >= np.float32(threshold) * evidence.max())
            own = np.zeros((16, 15), bool)
            own[top:bottom, left:right] = True
            shared = [(own & inside(box[None], 16, 15)).sum() for box in boxes]
            wanted.append(
                max(
                    both / (own.sum() + inside(box[None], 16, 15).sum() - both)
                    for both, box in zip(shared, boxes, strict=True)
                )
            )
        np.testing.assert_allclose(overlaps(evidence, THRESHOLDS, boxes), wanted, rtol=1e-6)


def test_a_constant_map_marks_the_whole_image() -> None:
    scores = overlaps(np.zeros((10, 10), np.float32), THRESHOLDS, np.array([[0.0, 0.0, 5.0, 10.0]]))
    assert scores.tolist() == [0.5] * len(THRESHOLDS)


def test_the_threshold_of_a_half_is_from_the_other() -> None:
    rng = np.random.default_rng(0)
    overlap = rng.random((50, 7)).astype(np.float32)
    overlap[[3, 4, 20]] = np.nan
    values, thresholds = localised(overlap, 0.5)
    known = [row for row in range(50) if row not in (3, 4, 20)]
    halves = known[::2], known[1::2]
    for half, other, threshold in zip(halves, halves[::-1], thresholds, strict=True):
        shares = [sum(float(overlap[row, number] >= 0.5) for row in other) for number in range(7)]
        assert shares[threshold] == max(shares)
        assert [values[row] for row in half] == [overlap[row, threshold] >= 0.5 for row in half]
    assert np.isnan(values[[3, 4, 20]]).all()


def test_of_equally_good_thresholds_that_with_the_larger_overlap() -> None:
    overlap = np.full((FEWEST, 3), 0.6, np.float32)
    overlap[:, 1] = 0.7
    assert localised(overlap, 0.5)[1] == (1, 1)


def test_too_few_images_have_no_threshold() -> None:
    overlap = np.full((FEWEST + 5, 3), 0.6, np.float32)
    overlap[:6] = np.nan
    values, thresholds = localised(overlap, 0.5)
    assert np.isnan(values).all()
    assert thresholds == ()
    assert localised(overlap[5:], 0.5)[1] == ()
    overlap[5] = 0.6
    assert len(localised(overlap, 0.5)[1]) == 2
