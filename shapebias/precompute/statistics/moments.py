"""Maximum, mean, standard deviation and sparsity of every unit, over all images and positions."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics.maps import Maps


@dataclass(frozen=True)
class MomentsResult:
    """float32 [units] each; NaN where nothing was seen."""

    max: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    sparsity: NDArray[np.float32]


class Moments:
    """The monoid of (count, maximum, sum, sum of squares, count of a <= 0), in float64 on the maps' device."""

    def __init__(self, units: int, device: torch.device) -> None:
        self.count = 0
        self.maximum = torch.full((units,), -torch.inf, dtype=torch.float32, device=device)
        self.sums = torch.zeros((3, units), dtype=torch.float64, device=device)

    def update(self, maps: Maps) -> None:
        """Takes in a batch."""
        reduction = maps.reduction
        self.count += maps.images * maps.height * maps.width
        self.maximum = torch.maximum(self.maximum, reduction.maximum.amax(0))
        sums = (reduction.total.sum(0), reduction.squares.sum(0), reduction.nonpositive.sum(0).double())
        self.sums += torch.stack(sums)

    def merge(self, other: "Moments") -> None:
        """Takes in what `other` saw."""
        self.count += other.count
        self.maximum = torch.maximum(self.maximum, other.maximum)
        self.sums += other.sums

    def result(self) -> MomentsResult:
        """std is the population's: sqrt(E[a^2] - E[a]^2)."""
        if self.count == 0:
            nothing = np.full(len(self.maximum), np.nan, np.float32)
            return MomentsResult(nothing, nothing, nothing, nothing)
        mean, squares, nonpositive = self.sums / self.count
        std = (squares - mean.square()).clamp(min=0).sqrt()
        return MomentsResult(*(_numbers(each) for each in (self.maximum, mean, std, nonpositive)))


def _numbers(values: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = values.float().cpu().numpy()
    return numbers
