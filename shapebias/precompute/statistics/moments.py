"""Maximum, mean, standard deviation and sparsity of every unit, over all images and positions."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.kernels.in_torch import combine_moments
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


@dataclass(frozen=True)
class MomentsResult:
    """The metrics of the units over all images and positions, float32 [units] each; NaN without any map.

    std:       the population's standard deviation
    sparsity:  the share of values a <= 0, 0 to 1
    """

    max: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    sparsity: NDArray[np.float32]


class Moments(AttributeState):
    """The monoid of (count of values, maximum, mean, sum of squared deviations from it, count of a <= 0) per unit.

    The maximum is float32, all else float64, [units] each on the device.

    Maps with NaN or infinite values are left out. Means and deviations of maps, batches and parts are combined by the
    formulas of Chan, Golub & LeVeque (1979), which lose no digits where a unit's mean is much larger than its
    deviation.

    >>> moments = Moments(2, torch.device("cpu"))
    >>> moments.update(Maps(torch.tensor([1.0, 3.0, 0.0, 0.0]).reshape(1, 2, 1, 2)))
    >>> moments.result().mean, moments.result().sparsity
    (array([2., 0.], dtype=float32), array([0., 1.], dtype=float32))
    """

    _STATE = ("count", "maximum", "mean", "deviations", "nonpositive")

    def __init__(self, units: int, device: torch.device) -> None:
        self.count = torch.zeros(units, dtype=torch.float64, device=device)
        self.maximum = torch.full((units,), -torch.inf, dtype=torch.float32, device=device)
        self.mean, self.deviations, self.nonpositive = torch.zeros((3, units), dtype=torch.float64, device=device)

    def update(self, maps: Maps) -> None:
        """Add a batch of maps."""
        reduction = maps.reduction
        operators.add_moments(
            [self.count, self.mean, self.deviations, self.nonpositive],
            self.maximum,
            reduction.maximum,
            reduction.nonpositive,
            reduction.sums,
            reduction.finite,
            maps.positions,
        )

    def merge(self, other: "Moments") -> None:
        """Add the images that `other` saw."""
        combine_moments(
            (self.count, self.mean, self.deviations), count=other.count, mean=other.mean, deviations=other.deviations
        )
        self.maximum = torch.maximum(self.maximum, other.maximum)
        self.nonpositive += other.nonpositive

    def result(self) -> MomentsResult:
        """Return the four metrics; std is the population's, sqrt(E[(a - E[a])^2])."""
        seen = self.count > 0
        std = (self.deviations / self.count).sqrt()
        parts = (self.maximum, self.mean, std, self.nonpositive / self.count)
        return MomentsResult(*(_numbers(torch.where(seen, part, torch.nan)) for part in parts))


def _numbers(values: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = values.float().cpu().numpy()
    return numbers
