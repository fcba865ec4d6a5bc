"""A batch of activation maps of one layer, and the reductions over positions that the statistics share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics import kernels
from shapebias.precompute.statistics.draws import Pairings


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """Per image and unit, over the positions of the map: each [B, C] on the maps' device.

    maximum float32; total (sum of a) and squares (sum of (a - shift)^2) float64; nonpositive (count of a <= 0) int32.
    `shift`, float32 [C], is near the units' means, so that the squares keep their digits. `finite` bool: whether all
    of the map's values are numbers; of other maps maximum is -inf, and the sums are 0.
    """

    shift: Tensor
    maximum: Tensor
    total: Tensor
    squares: Tensor
    nonpositive: Tensor
    finite: Tensor
    all_finite: bool


class Maps:
    """Activation maps [B, C, h, w] of one layer for a batch, float32, and what is computed from them once.

    positions:  int64 [B], where the images are in the listing: they name an image, and seed the sample of its values
    labels:     int64 [B], the images' classes, -1 for none (as where none are given)
    keys:       int64 [B], one of each image wherever it is listed (`image_keys`); its position where none are given
    """

    def __init__(
        self,
        maps: Tensor,
        positions: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
        keys: NDArray[np.int64] | None = None,
    ) -> None:
        self.tensor = maps.detach().float().contiguous(memory_format=torch.channels_last)
        self.positions = positions
        self.labels = np.full(len(positions), -1, np.int64) if labels is None else labels
        self.keys = positions if keys is None else keys
        self.images, self.units, self.height, self.width = self.tensor.shape

    @property
    def on_cpu(self) -> bool:
        return self.tensor.device.type == "cpu"

    @cached_property
    def flat(self) -> Tensor:
        """Return the maps as [B, h * w, C], a view."""
        return self.tensor.permute(0, 2, 3, 1).reshape(self.images, self.height * self.width, self.units)

    @cached_property
    def array(self) -> NDArray[np.float32]:
        """Return `flat` for the CPU kernels."""
        flat: NDArray[np.float32] = self.flat.numpy()
        return flat

    @cached_property
    def reduction(self) -> Reduction:
        """Return what one read of the maps gives."""
        shift, maximum, total, squares, nonpositive = self._reduce_on_cpu() if self.on_cpu else self._reduce()
        finite = total.isfinite()
        all_finite = bool(finite.all())
        if not all_finite:  # or only a sum too large for float32
            finite = self.flat.isfinite().all(1)
            all_finite = bool(finite.all())
        if not all_finite:
            maximum = maximum.masked_fill(~finite, -torch.inf)
            total, squares, nonpositive = (sums.masked_fill(~finite, 0) for sums in (total, squares, nonpositive))
        return Reduction(
            shift=shift,
            maximum=maximum,
            total=total,
            squares=squares,
            nonpositive=nonpositive,
            finite=finite,
            all_finite=all_finite,
        )

    def _reduce_on_cpu(self) -> tuple[Tensor, ...]:
        shape = (self.images, self.units)
        parts = (np.empty(shape, kind) for kind in (np.float32, np.float64, np.float64, np.int32))
        maximum, total, squares, nonpositive = parts
        with np.errstate(over="ignore", invalid="ignore"):  # not all are numbers: `finite` says so
            shift = np.nan_to_num(self.array[0].mean(0), nan=0.0, posinf=0.0, neginf=0.0)
        kernels.in_threads(
            kernels.reduce_maps, self.images, self.array, shift, self.width, maximum, total, squares, nonpositive
        )
        return tuple(torch.from_numpy(result) for result in (shift, maximum, total, squares, nonpositive))

    def _reduce(self) -> tuple[Tensor, ...]:
        flat = self.flat
        shift = flat[0].mean(0).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        moved = flat - shift
        return (
            shift,
            flat.amax(1),
            flat.sum(1, dtype=torch.float64),
            torch.linalg.vector_norm(moved, dim=1).double().square(),
            (flat <= 0).sum(1, dtype=torch.int32),
        )

    @cached_property
    def average(self) -> Tensor:
        """Return the mean of every map, float32 [B, C]: the same in any batch."""
        return (self.reduction.total / (self.height * self.width)).float()

    @cached_property
    def usable(self) -> Tensor:
        """Return `flat`, with -inf in place of every map that holds a value that is no number."""
        reduction = self.reduction
        return self.flat if reduction.all_finite else self.flat.masked_fill(~reduction.finite[:, None], -torch.inf)

    def vary(self, pairings: Pairings) -> tuple[Tensor, Tensor, Tensor]:
        """Return total variation, sum of |a|, and the sum of |a[p] - a[q]| over the pairs (p, q) of positions, of every
        map: float64 [B, C] each, NaN or infinite where a value is so.

        TV(a) = sum |a[y+1, x] - a[y, x]| + sum |a[y, x+1] - a[y, x]|.
        """
        if self.on_cpu:
            sums = np.empty((3, self.images, self.units))
            pairs = (pairings.stride, pairings.offset)
            kernels.in_threads(kernels.vary_maps, self.images, self.array, self.width, *pairs, *sums)
            variation, absolute, apart = torch.from_numpy(sums)
            return variation, absolute, apart
        maps = self.tensor
        down = (maps[:, :, 1:] - maps[:, :, :-1]).abs().sum((2, 3), dtype=torch.float64)
        across = (maps[:, :, :, 1:] - maps[:, :, :, :-1]).abs().sum((2, 3), dtype=torch.float64)
        return down + across, maps.abs().sum((2, 3), dtype=torch.float64), self._apart(pairings)

    def _apart(self, pairings: Pairings) -> Tensor:
        """Return the sums over pairs of positions that `vary` returns, with PyTorch's operations."""
        total = torch.zeros((self.images, self.units), dtype=torch.float64, device=self.tensor.device)
        rows = self.flat.reshape(-1, self.units)
        for partner in pairings.partners(self.height * self.width):
            picked = rows.index_select(0, torch.from_numpy(partner.ravel()).to(rows.device))
            total += (picked.view_as(self.flat) - self.flat).abs_().sum(1, dtype=torch.float64)
        return total
