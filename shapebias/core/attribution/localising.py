"""Bounding boxes of the marked pixels of attribution maps, and how much they overlap with the boxes of objects.

A box is (left, top, right, bottom) in px; right and bottom are the edges behind the last pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 20  # least number of images for thresholds: each half of the images chooses the other half's
Boxes = NDArray[np.float64]  # [..., 4]: left, top, right, bottom
_Ints = NDArray[np.int64]


def overlaps(evidence: NDArray[np.float32], thresholds: Sequence[float], boxes: Boxes) -> NDArray[np.float32]:
    """Return for each threshold how well the marked part of a map fits one of an object's boxes, float32 [thresholds].

    It is an IoU, in [0, 1]: the largest one of the box around the largest component of the marked pixels (see
    `largest_component_boxes`) with any of the object's boxes.

    evidence:    float32 [h, w], >= 0; a pixel is marked where it is at least the threshold times the largest value
    thresholds:  in [0, 1)
    boxes:       float64 [boxes, 4], at least one
    """
    levels = np.asarray(thresholds, np.float32) * evidence.max()
    marked = evidence[None] >= levels[:, None, None]
    by_box = iou(largest_component_boxes(marked)[:, None], boxes[None])
    largest: NDArray[np.float32] = by_box.max(1).astype(np.float32)
    return largest


def iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of boxes [..., 4], which are broadcast against each other.

    >>> float(iou(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2])).round(3))
    0.333
    """
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    union = _area(first) + _area(second) - shared
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return result


def _area(boxes: Boxes) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    return area


def box_around(mask: NDArray[np.bool_]) -> Boxes:
    """Return the box around all pixels of a mask, float64 [4]. The mask, bool [h, w], must not be empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def inside(boxes: Boxes, height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels, bool [height, width], have their middle in one of the boxes [boxes, 4]."""
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
    region = np.zeros((height, width), bool)
    for left, top, right, bottom in boxes.tolist():
        region |= (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return region


@dataclass(frozen=True)
class _Runs:
    """Runs of neighbouring marked pixels in the rows of masks, int64 [runs] each, sorted by mask, row and start.

    mask:   the index of the run's mask
    row:    its row in the mask
    start:  the column of its first pixel
    stop:   the column behind its last pixel
    """

    mask: _Ints
    row: _Ints
    start: _Ints
    stop: _Ints

    @classmethod
    def of(cls, masks: NDArray[np.bool_]) -> "_Runs":
        count, height, width = masks.shape
        padded = np.zeros((count * height, width + 2), np.int8)
        padded[:, 1:-1] = masks.reshape(-1, width)
        changes = np.diff(padded, axis=1)
        row, start = np.nonzero(changes == 1)
        stop = np.nonzero(changes == -1)[1]
        return cls(row // height, row % height, start, stop)

    def touching(self, height: int, width: int) -> tuple[_Ints, _Ints]:
        """Return the pairs of runs that touch at a side or a corner: the indices of the upper and of the lower ones.

        `height` and `width` are those of the masks.
        """
        line = width + 2  # longer than any run of pixels
        line_start = (self.mask * (height + 1) + self.row) * line
        # The runs of the row below that touch a run begin with the first that ends at its left corner or later, and end
        # before the first that starts behind its right corner.
        first = np.searchsorted(line_start + self.stop, line_start + line + self.start)
        last = np.searchsorted(line_start + self.start, line_start + line + self.stop, side="right")
        counts = np.maximum(last - first, 0)
        upper = np.repeat(np.arange(len(line_start)), counts)
        lower = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        return upper, lower


def largest_component_boxes(masks: NDArray[np.bool_]) -> Boxes:
    """Return the box around each mask's largest component, float64 [masks, 4]; all 0 for a mask without pixels.

    masks bool [masks, h, w]. Pixels that touch at a side or a corner are in one component. Of components of equal size,
    the one with the first pixel in reading order counts.
    """
    runs = _Runs.of(masks)
    boxes = np.zeros((len(masks), 4))
    if not len(runs.row):
        return boxes
    component = _connected(len(runs.row), *runs.touching(*masks.shape[1:]))
    sizes = np.bincount(component, weights=runs.stop - runs.start, minlength=len(component))
    order = np.lexsort((component, -sizes[component], runs.mask))  # a mask's largest component first
    filled, leading = np.unique(runs.mask[order], return_index=True)
    largest = np.full(len(masks), -1)
    largest[filled] = component[order][leading]
    chosen = component == largest[runs.mask]
    mask, row = runs.mask[chosen], runs.row[chosen]
    starts = np.searchsorted(mask, filled)
    boxes[filled, 0] = np.minimum.reduceat(runs.start[chosen], starts)
    boxes[filled, 1] = np.minimum.reduceat(row, starts)
    boxes[filled, 2] = np.maximum.reduceat(runs.stop[chosen], starts)
    boxes[filled, 3] = np.maximum.reduceat(row, starts) + 1
    return boxes


def _connected(count: int, first: _Ints, second: _Ints) -> _Ints:
    """Return the component of each of `count` items, int64 [count]: the smallest number of an item in the component.

    first, second: int64 [pairs], the items that are connected directly.

    In every round each component joins the smallest of its neighbours (Shiloach & Vishkin 1982).
    """
    root = np.arange(count)
    while len(first):
        a, b = root[first], root[second]
        apart = a != b
        first, second = first[apart], second[apart]
        low, high = np.minimum(a, b)[apart], np.maximum(a, b)[apart]
        np.minimum.at(root, high, low)
        while (root[root] != root).any():
            root = root[root]
    return root


def localised(overlap: NDArray[np.float32], least: float) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Return whether each image's object is localised, float32 [images], 0 or 1, and which two thresholds were used.

    overlap:  float32 [images, thresholds], see `overlaps`; NaN where an image's object is not known
    least:    the IoU from which an object counts as localised

    The images with a known object are split into two halves, alternately. Each half uses the threshold by which most
    objects of the other half are localised; of equally good ones, the one with the largest mean IoU there. The two are
    returned as indices into `overlap`'s thresholds: that of the first half of the images, then of the second.

    The first result is NaN for images without a known object. It is NaN for all, and there are no thresholds, where
    fewer than FEWEST images have a known object.
    """
    result = np.full(len(overlap), np.nan, np.float32)
    measured = np.flatnonzero(~np.isnan(overlap).any(1))
    if len(measured) < FEWEST:
        return result, ()
    halves, thresholds = (measured[::2], measured[1::2]), []
    for half, other in (halves, halves[::-1]):
        shares, means = (overlap[other] >= least).mean(0), overlap[other].mean(0, dtype=np.float64)
        thresholds.append(int(np.lexsort((means, shares))[-1]))
        result[half] = overlap[half, thresholds[-1]] >= least
    return result, tuple(thresholds)
