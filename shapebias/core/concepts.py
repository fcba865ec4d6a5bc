"""The concepts of dissection, and how much units overlap with them.

Imports only numpy, since processes that decode images import it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

DETECTOR = 0.04  # a unit with at least this IoU is a detector (Bau et al. 2017)
# The images over which a unit's area is summed for its IoU with the concepts of a category: all images annotated with
# the category, as published, or only those where the unit fires on a concept of the category, as in the code of
# NetDissect-Lite.
PUBLISHED, NETDISSECT_LITE = IOU_AREAS = ("published", "netdissect-lite")


@dataclass(frozen=True)
class Concepts:
    """The concepts that images are annotated with, each of one category (colour, texture, part and so on).

    names:       the name of each concept
    category:    for each concept an index into `categories`
    categories:  the names of the categories
    """

    names: tuple[str, ...]
    category: tuple[int, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class LayerConcepts:
    """For every unit of a layer and every category the concept with the largest IoU, int [units, categories] each.

    A unit fires where its map, enlarged to the image, is above its threshold, the metric q995.

    label:         index into the concepts, -1 where the category has none
    intersection:  number of pixels of the concept where the unit fires
    activation:    number of pixels where the unit fires, in images annotated with the category (but see IOU_AREAS)
    truth:         number of the concept's pixels in all images
    """

    label: NDArray[np.int32]
    intersection: NDArray[np.int64]
    activation: NDArray[np.int64]
    truth: NDArray[np.int64]

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """The IoU, intersection / union, float64 [units, categories]; 0 where the union is empty."""
        return intersection_over_union(self.intersection, self.activation, self.truth)

    @cached_property
    def undecided(self) -> NDArray[np.bool_]:
        """Which units fire nowhere because their threshold is their maximum, bool [units].

        Such units saturate (ReLU6) or are dead, so it cannot be told what they detect.
        """
        undecided: NDArray[np.bool_] = ~np.any(self.activation > 0, axis=1)
        return undecided

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The category with the largest IoU, int64 [units], the first of equal ones; -1 where every IoU is 0."""
        if not self.iou.shape[1]:
            return np.full(len(self.iou), -1)
        return np.where(self.iou.max(1) > 0, self.iou.argmax(1), -1)

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """The largest IoU over all categories, float64 [units]; NaN where the unit is undecided."""
        return np.where(self.undecided, np.nan, self.iou.max(1, initial=0.0))

    @property
    def concept(self) -> NDArray[np.int64]:
        """The concept with the largest IoU over all categories, int64 [units], an index; -1 where every IoU is 0."""
        chosen = self.label[np.arange(len(self.label)), self.best] if self.label.shape[1] else self.best
        return np.where(self.best >= 0, chosen, -1)


def intersection_over_union(
    intersection: NDArray[np.int64], activation: NDArray[np.int64], truth: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return |A and B| / |A or B| from pixel counts, elementwise; 0 where the union is empty.

    >>> intersection_over_union(np.array([2]), np.array([4]), np.array([6]))
    array([0.25])
    """
    union = (activation + truth - intersection).astype(np.float64)
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
