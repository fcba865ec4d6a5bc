"""Class selectivity of every unit, from the mean activation on each class: of maps' maxima, or of their means."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.parts import Part
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


class ClassMeans(AttributeState):
    """The monoid of (sum of activations, number of images) a class, float64 [classes, units] on the maps' device.

    `activation` says what the activation of an image is: the `maximum` or the `average` of its map. Maps with values
    that are no numbers are left out.
    """

    _STATE = ("total", "images")

    def __init__(
        self, units: int, classes: int, device: torch.device, activation: Literal["maximum", "average"] = "maximum"
    ) -> None:
        self._activation = activation
        self.total = torch.zeros((classes, units), dtype=torch.float64, device=device)
        self.images = torch.zeros(classes, dtype=torch.int64)
        self.left_out: Tensor | None = None  # int32 [classes, units], made when there is something to count

    def update(self, maps: Maps) -> None:
        """Take in a batch of maps; images without a label are left out."""
        labels = maps.labels
        known = np.flatnonzero(labels >= 0)
        if len(known) == 0:
            return
        device = self.total.device
        classes, rows = torch.from_numpy(labels[known]), torch.from_numpy(known).to(device)
        every = maps.reduction.maximum if self._activation == "maximum" else maps.average
        activation = every[rows].double()
        if not maps.reduction.all_finite:
            missing = ~maps.reduction.finite[rows]
            activation = activation.masked_fill(missing, 0.0)
            self._leave_out(torch.zeros_like(self.total).index_add_(0, classes.to(device), missing.double()))
        self.total.index_add_(0, classes.to(device), activation)
        self.images += torch.bincount(classes, minlength=len(self.images))

    def _leave_out(self, counts: Tensor) -> None:
        self.left_out = counts.int() if self.left_out is None else self.left_out + counts.int()

    def state_dict(self) -> Part:
        """Return the sums as arrays; `left_out` is among them where something was left out."""
        state = super().state_dict()
        return state if self.left_out is None else state | {"left_out": self.left_out.cpu().numpy()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what returned `state`."""
        super().load_state_dict(state)
        self.left_out = None
        if "left_out" in state:
            self.left_out = torch.from_numpy(np.array(state["left_out"])).to(self.total.device)

    def merge(self, other: "ClassMeans") -> None:
        """Take in what `other` saw."""
        self.total += other.total
        self.images += other.images
        if other.left_out is not None:
            self._leave_out(other.left_out)

    def result(self) -> NDArray[np.float32]:
        """Return (m1 - m2) / (m1 + m2), m1 the largest class mean, m2 the mean of the others: float32 [units].

        0 where m1 + m2 = 0; NaN with fewer than two classes, or where a class mean is below 0: the index is for
        activations that are not. Source: Morcos et al. 2018, arXiv 1803.06959, where the activation is the average.
        """
        if not len(self.images):
            return np.full(self.total.shape[1], np.nan, np.float32)
        counts = self.images[:, None].expand(self.total.shape)
        counts = counts if self.left_out is None else counts - self.left_out.cpu()
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
