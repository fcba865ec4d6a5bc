"""Class selectivity of every unit, from its mean activation on each class (of the maps' maxima, or of their means)."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.parts import Part
from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


class ClassMeans(AttributeState):
    """The monoid of every unit's activations on the images of each class: their sums and numbers.

    total:     float64 [classes, units] on the maps' device, the sums of activations
    images:    int64 [classes] on the CPU, the number of images
    left_out:  int32 [classes, units] on the maps' device, how many of them had a map with NaN or infinite values;
               such maps are not in the sums

    `activation` says whether the activation of an image is the `maximum` or the `average` of its map.
    Images without a label are left out.
    """

    _STATE = ("total", "images")

    def __init__(
        self, units: int, classes: int, device: torch.device, activation: Literal["maximum", "average"] = "maximum"
    ) -> None:
        self._activation = activation
        self.total = torch.zeros((classes, units), dtype=torch.float64, device=device)
        self.images = torch.zeros(classes, dtype=torch.int64)
        self.left_out = torch.zeros((classes, units), dtype=torch.int32, device=device)

    def update(self, maps: Maps) -> None:
        """Add a batch of maps; images without a label are left out."""
        activation = maps.reduction.maximum if self._activation == "maximum" else maps.average
        operators.add_class_means(self.total, self.left_out, activation, maps.reduction.finite, maps.images.labels)
        self.images += maps.images.class_counts(len(self.images))

    def state_dict(self) -> Part:
        """Return `total` and `images` as arrays, and `left_out` too if any map was left out."""
        state = super().state_dict()
        return state | {"left_out": self.left_out.cpu().numpy()} if self.left_out.any() else state

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the values from a `state_dict`."""
        super().load_state_dict(state)
        self.left_out.zero_()
        if "left_out" in state:
            self.left_out += torch.from_numpy(np.array(state["left_out"])).to(self.left_out.device)

    def merge(self, other: "ClassMeans") -> None:
        """Add the images that `other` saw."""
        self.total += other.total
        self.images += other.images
        self.left_out += other.left_out

    def result(self) -> NDArray[np.float32]:
        """Return (m1 - m2) / (m1 + m2), float32 [units], where m1 is the largest class mean and m2 the mean of the
        other classes' means.

        Only classes with images whose maps were not left out count. 0 where m1 + m2 = 0; NaN with fewer than two
        classes, or where a class mean is below 0, since the index is defined for non-negative activations. Source:
        Morcos et al. 2018, arXiv 1803.06959, where the activation is the average.
        """
        if not len(self.images):
            return np.full(self.total.shape[1], np.nan, np.float32)
        counts = self.images[:, None] - self.left_out.cpu()
        means = (self.total.cpu() / counts).masked_fill(counts == 0, 0.0)
        classes = (counts > 0).sum(0)
        largest = means.masked_fill(counts == 0, -torch.inf).amax(0)
        others = (means.sum(0) - largest) / (classes - 1)
        ratio = (largest - others) / (largest + others)
        ratio = torch.where(largest + others == 0, 0.0, ratio).masked_fill(
            (classes < 2) | (means < 0).any(0), torch.nan
        )
        result: NDArray[np.float32] = ratio.float().numpy()
        return result
