"""Maximum, mean, standard deviation and sparsity of every unit, over all images and positions."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


@dataclass(frozen=True)
class MomentsResult:
    """float32 [units] each; NaN where nothing was seen."""

    max: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    sparsity: NDArray[np.float32]


class Moments(AttributeState):
    """The monoid of (count, maximum, mean, sum of squared deviations, count of a <= 0), in float64 on the device.

    Maps with values that are no numbers are left out.

    Means and deviations of parts are combined by the formulas of Chan, Golub & LeVeque (1979), which lose no digits
    where a unit's mean is large beside its deviation.
    """

    _STATE = ("count", "maximum", "mean", "deviations", "nonpositive")

    def __init__(self, units: int, device: torch.device) -> None:
        self.count = torch.zeros(units, dtype=torch.float64, device=device)
        self.maximum = torch.full((units,), -torch.inf, dtype=torch.float32, device=device)
        self.mean, self.deviations, self.nonpositive = torch.zeros((3, units), dtype=torch.float64, device=device)

    def update(self, maps: Maps) -> None:
        """Take in a batch of maps."""
        reduction = maps.reduction
        count = reduction.finite.sum(0).double() * (maps.height * maps.width)
        mean = reduction.total.sum(0) / count.clamp(min=1)
        deviations = reduction.squares.sum(0) - count * (mean - reduction.shift.double()).square()
        self._combine(count, mean, deviations.clamp(min=0))
        self.maximum = torch.maximum(self.maximum, reduction.maximum.amax(0))
        self.nonpositive += reduction.nonpositive.sum(0)

    def merge(self, other: "Moments") -> None:
        """Take in what `other` saw."""
        self._combine(other.count, other.mean, other.deviations)
        self.maximum = torch.maximum(self.maximum, other.maximum)
        self.nonpositive += other.nonpositive

    def _combine(self, count: Tensor, mean: Tensor, deviations: Tensor) -> None:
        both = self.count + count
        share = count / both.clamp(min=1)
        apart = mean - self.mean
        self.mean = self.mean + apart * share
        self.deviations = self.deviations + deviations + apart.square() * (self.count * share)
        self.count = both

    def result(self) -> MomentsResult:
        """Return the four metrics; std is the population's: sqrt(E[(a - E[a])^2])."""
        seen = self.count > 0
        std = (self.deviations / self.count).sqrt()
        parts = (self.maximum, self.mean, std, self.nonpositive / self.count)
        return MomentsResult(*(_numbers(torch.where(seen, part, torch.nan)) for part in parts))


def _numbers(values: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = values.float().cpu().numpy()
    return numbers
