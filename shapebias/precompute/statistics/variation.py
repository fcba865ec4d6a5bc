"""Total variation of every unit's maps, and the smoothness and coherence that are computed from it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


@dataclass(frozen=True)
class VariationResult:
    """The metrics of the units, float32 [units] each; NaN without images.

    tv:          the mean over images of TV(a)
    smoothness:  0 to 1: 1 - sum of TV / (4 * sum of |a|), since each value is in at most four differences; 1 where all
                 is 0 (a dead unit); NaN for maps of 1 x 1
    coherence:   at most 1: 1 - sum of TV / (sum of the TV expected with the map's values in random places); NaN where
                 all maps are constant, or no pairs were drawn (`Maps`)
    """

    tv: NDArray[np.float32]
    smoothness: NDArray[np.float32]
    coherence: NDArray[np.float32]


class Variation(AttributeState):
    """The monoid of (sums of TV, of the TV expected by chance and of |a|, number of maps) per unit, in float64.

    Maps with NaN or infinite values are left out. Where the images of the maps are not given (`Maps`), no random
    numbers are drawn, and there is no coherence.

    In random places, two neighbours are any two different positions. So the expected TV is the number of neighbouring
    pairs times the mean of |a[p] - a[q]| over p != q. The mean over random pairings (`Pairing`, where p = q has a
    probability of 1 in P) is an unbiased estimate of (P - 1) / P of it.
    """

    _STATE = ("total", "expected", "absolute", "images")

    def __init__(self, units: int, height: int, width: int, device: torch.device) -> None:
        self.height, self.width = height, width
        self.total, self.expected, self.absolute, self.images = torch.zeros(
            (4, units), dtype=torch.float64, device=device
        )

    def update(self, maps: Maps) -> None:
        """Add a batch of maps."""
        neighbours = self.height * (self.width - 1) + self.width * (self.height - 1)
        pairs = max(maps.pairing.count * (maps.positions - 1), 1)
        totals = [self.total, self.absolute, self.expected, self.images]
        operators.add_variation(totals, maps.reduction.sums, maps.reduction.finite, neighbours / pairs)

    def merge(self, other: "Variation") -> None:
        """Add the images that `other` saw."""
        self.total += other.total
        self.expected += other.expected
        self.absolute += other.absolute
        self.images += other.images

    def result(self) -> VariationResult:
        """Return the metrics."""
        share = torch.where(self.absolute > 0, self.total / (4 * self.absolute), 0.0)
        undefined = (self.images == 0) | (self.height * self.width == 1)
        smoothness = (1 - share).clamp(0, 1).masked_fill(undefined, torch.nan)
        coherence = (1 - self.total / self.expected).masked_fill(self.expected == 0, torch.nan)
        return VariationResult(*(_numbers(metric) for metric in (self.total / self.images, smoothness, coherence)))


def _numbers(values: torch.Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = values.float().cpu().numpy()
    return numbers


def filter_smoothness(kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smoothness of kernels, float [units, inputs, h, w], computed as for maps: float32 [units].

    TV and |w| are summed over all input channels. NaN for 1 x 1 kernels; 1 where all is 0.

    >>> filter_smoothness(np.ones((1, 3, 2, 2), np.float32))
    array([1.], dtype=float32)
    """
    weights = np.asarray(kernels, np.float64)
    if weights[0, 0].size == 1:
        return np.full(len(weights), np.nan, np.float32)
    variation = np.abs(np.diff(weights, axis=2)).sum((1, 2, 3)) + np.abs(np.diff(weights, axis=3)).sum((1, 2, 3))
    absolute = 4 * np.abs(weights).sum((1, 2, 3))
    share = np.divide(variation, absolute, out=np.zeros_like(variation), where=absolute > 0)
    smoothness: NDArray[np.float32] = (1 - share).astype(np.float32)
    return smoothness
