"""Class selectivity of every unit, from the mean activation on each class."""

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.statistics.maps import Maps


class ClassMeans:
    """The monoid of (sum of activations, number of images) a class, float64 [classes, units] on the maps' device."""

    def __init__(self, units: int, classes: int, device: torch.device) -> None:
        self.total = torch.zeros((classes, units), dtype=torch.float64, device=device)
        self.images = torch.zeros(classes, dtype=torch.int64)

    def update(self, maps: Maps, labels: NDArray[np.int64]) -> None:
        """Takes in a batch; labels int64 [B], images with -1 are left out."""
        known = np.flatnonzero(labels >= 0)
        if len(known) == 0:
            return
        classes = torch.from_numpy(labels[known])
        rows = torch.from_numpy(known)
        activation = maps.reduction.maximum[rows.to(self.total.device)].double()
        self.total.index_add_(0, classes.to(self.total.device), activation)
        self.images += torch.bincount(classes, minlength=len(self.images))

    def merge(self, other: "ClassMeans") -> None:
        """Takes in what `other` saw."""
        self.total += other.total
        self.images += other.images

    def result(self) -> NDArray[np.float32]:
        """float32 [units]: (m1 - m2) / (m1 + m2) with m1 the largest class mean, m2 the mean of the others.

        0 where m1 + m2 = 0; NaN with fewer than two classes. Source: Morcos et al. 2018, arXiv 1803.06959.
        """
        seen = self.images > 0
        classes = int(seen.sum())
        if classes < 2:
            return np.full(self.total.shape[1], np.nan, np.float32)
        means = self.total.cpu()[seen] / self.images[seen][:, None]
        largest = means.amax(0)
        others = (means.sum(0) - largest) / (classes - 1)
        ratio = (largest - others) / (largest + others)
        result: NDArray[np.float32] = torch.where(largest + others == 0, 0.0, ratio).float().numpy()
        return result
