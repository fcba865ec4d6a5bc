"""Concepts, and which of them units overlap with. Imports numpy only: processes that decode images import it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

DETECTOR = 0.04  # the least IoU of a detector (Bau et al. 2017)
# Where a unit's pixels count for a category: in all images that carry it, as published, or only in those where the unit
# fires on a label of it, as in the code of NetDissect-Lite.
PUBLISHED, NETDISSECT_LITE = IOU_AREAS = ("published", "netdissect-lite")


@dataclass(frozen=True)
class Concepts:
    """What annotated images can show. `category` gives for every name an index into `categories`."""

    names: tuple[str, ...]
    category: tuple[int, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class LayerConcepts:
    """For every unit of a layer and every category the concept with the largest IoU, int [units, categories] each.

    label: index into the concepts, -1 where the category has none; intersection: pixels that the unit and the concept
    share; activation: the unit's pixels, and truth: the concept's, both in the images that carry the category (but see
    IOU_AREAS for the unit's).
    """

    label: NDArray[np.int32]
    intersection: NDArray[np.int64]
    activation: NDArray[np.int64]
    truth: NDArray[np.int64]

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """intersection / union, float64 [units, categories], 0 where the union is empty."""
        return intersection_over_union(self.intersection, self.activation, self.truth)

    @cached_property
    def undecided(self) -> NDArray[np.bool_]:
        """bool [units]: the unit fires in no image, since its threshold is its maximum: it saturates (ReLU6), or is
        dead. What it detects cannot be said by {a > T}."""
        undecided: NDArray[np.bool_] = ~np.any(self.activation > 0, axis=1)
        return undecided

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """int64 [units]: the category of the largest IoU, the first of equal ones; -1 where every IoU is 0."""
        if not self.iou.shape[1]:
            return np.full(len(self.iou), -1)
        return np.where(self.iou.max(1) > 0, self.iou.argmax(1), -1)

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """float64 [units]: the largest IoU, NaN where the unit is undecided."""
        return np.where(self.undecided, np.nan, self.iou.max(1, initial=0.0))

    @property
    def concept(self) -> NDArray[np.int64]:
        """int64 [units]: the concept of the largest IoU, -1 where every IoU is 0."""
        chosen = self.label[np.arange(len(self.label)), self.best] if self.label.shape[1] else self.best
        return np.where(self.best >= 0, chosen, -1)


def intersection_over_union(
    intersection: NDArray[np.int64], activation: NDArray[np.int64], truth: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return |A and B| / |A or B| from pixel counts, elementwise; 0 where the union is empty."""
    union = (activation + truth - intersection).astype(np.float64)
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
