"""Total variation of every unit's maps, and the smoothness that follows from it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


@dataclass(frozen=True)
class VariationResult:
    """float32 [units] each; NaN without images.

    tv:          the mean over images of TV(a)
    smoothness:  0 to 1: 1 - sum of TV / (4 * sum of |a|), as each value is in at most four differences. 1 where all is
                 0 (a dead unit); NaN for maps of 1 x 1.
    """

    tv: NDArray[np.float32]
    smoothness: NDArray[np.float32]


class Variation(AttributeState):
    """The monoid of (sum of TV, sum of |a|, number of maps) a unit, float64 on the device.

    Maps with values that are no numbers are left out.
    """

    _STATE = ("total", "absolute", "images")

    def __init__(self, units: int, positions: int, device: torch.device) -> None:
        self.positions = positions
        self.total, self.absolute, self.images = torch.zeros((3, units), dtype=torch.float64, device=device)

    def update(self, maps: Maps) -> None:
        """Take in a batch of maps."""
        variation, absolute = maps.variation
        finite = variation.isfinite() & absolute.isfinite()
        self.total += variation.masked_fill(~finite, 0.0).sum(0)
        self.absolute += absolute.masked_fill(~finite, 0.0).sum(0)
        self.images += finite.sum(0)

    def merge(self, other: "Variation") -> None:
        """Take in what `other` saw."""
        self.total += other.total
        self.absolute += other.absolute
        self.images += other.images

    def result(self) -> VariationResult:
        """Return both metrics."""
        share = torch.where(self.absolute > 0, self.total / (4 * self.absolute), 0.0)
        undefined = (self.images == 0) | (self.positions == 1)
        smoothness = (1 - share).clamp(0, 1).masked_fill(undefined, torch.nan)
        tv = self.total / self.images
        return VariationResult(tv.float().cpu().numpy(), smoothness.float().cpu().numpy())


def filter_smoothness(kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smoothness of kernels float [units, inputs, h, w] as if they were maps, float32 [units].

    TV and |w| are summed over all input channels. NaN for 1 x 1 kernels; 1 where all is 0.
    """
    weights = np.asarray(kernels, np.float64)
    if weights[0, 0].size == 1:
        return np.full(len(weights), np.nan, np.float32)
    variation = np.abs(np.diff(weights, axis=2)).sum((1, 2, 3)) + np.abs(np.diff(weights, axis=3)).sum((1, 2, 3))
    absolute = 4 * np.abs(weights).sum((1, 2, 3))
    share = np.divide(variation, absolute, out=np.zeros_like(variation), where=absolute > 0)
    smoothness: NDArray[np.float32] = (1 - share).astype(np.float32)
    return smoothness
