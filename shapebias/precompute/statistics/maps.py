"""A batch of activation maps of one layer, and the reductions over positions that the statistics share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics import kernels


@dataclass(frozen=True)
class Reduction:
    """Per image and unit, over the positions of the map: each [B, C] on the maps' device.

    maximum float32; total (sum of a) and squares (sum of (a - shift)^2) float64; nonpositive (count of a <= 0) int32.
    `shift`, float32 [C], is near the units' means, so that the squares keep their digits.
    """

    shift: Tensor
    maximum: Tensor
    total: Tensor
    squares: Tensor
    nonpositive: Tensor


class Maps:
    """Activation maps [B, C, h, w] of one layer for a batch, float32, and what is computed from them once.

    `positions` (int64 [B]) are the images' places in the listing: they seed what is random about an image.
    """

    def __init__(self, maps: Tensor, positions: NDArray[np.int64]) -> None:
        self.tensor = maps.detach().float().contiguous(memory_format=torch.channels_last)
        self.positions = positions
        self.images, self.units, self.height, self.width = self.tensor.shape

    @property
    def on_cpu(self) -> bool:
        return self.tensor.device.type == "cpu"

    @cached_property
    def flat(self) -> Tensor:
        """The maps as [B, h * w, C], a view."""
        return self.tensor.permute(0, 2, 3, 1).reshape(self.images, self.height * self.width, self.units)

    @cached_property
    def array(self) -> NDArray[np.float32]:
        """`flat` for the CPU kernels."""
        flat: NDArray[np.float32] = self.flat.numpy()
        return flat

    @cached_property
    def reduction(self) -> Reduction:
        """One read of the maps."""
        if self.on_cpu:
            shape = (self.images, self.units)
            parts = (np.empty(shape, kind) for kind in (np.float32, np.float64, np.float64, np.int32))
            maximum, total, squares, nonpositive = parts
            with np.errstate(over="ignore", invalid="ignore"):  # infinite activations stay infinite, without a warning
                shift = self.array[0].mean(0)
            kernels.in_threads(
                kernels.reduce_maps, self.images, self.array, shift, self.width, maximum, total, squares, nonpositive
            )
            with np.errstate(over="ignore", invalid="ignore"):
                total += shift * np.float64(self.height * self.width)
            results = (shift, maximum, total, squares, nonpositive)
            return Reduction(*(torch.from_numpy(result) for result in results))
        flat = self.flat
        centre = flat[0].mean(0)
        moved = flat - centre
        return Reduction(
            centre,
            flat.amax(1),
            moved.sum(1).double() + centre.double() * (self.height * self.width),
            torch.linalg.vector_norm(moved, dim=1).double().square(),
            (flat <= 0).sum(1, dtype=torch.int32),
        )
