"""A batch of activation maps of one layer, and the reductions over positions that several statistics use."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from shapebias.precompute.statistics.draws import Pairing
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.kernels.on_cpu import find_largest


@dataclass(frozen=True)
class Reduction:
    """Reductions over the positions of each map, [B, C] on the maps' device.

    maximum:      float32
    nonpositive:  int32, the count of a <= 0
    sums:         float64 [5, B, C]; its rows are the next five
    total:        the sum of a
    deviations:   the sum of (a - the map's mean)^2
    variation:    TV(a) = sum |a[y+1, x] - a[y, x]| + sum |a[y, x+1] - a[y, x]|
    absolute:     the sum of |a|
    apart:        the sum of |a[p] - a[q]| over the random pairs (p, q) of positions (`Pairing`)
    finite:       bool, whether all of the map's values are finite; for other maps the maximum is -inf, and the counts
                  and sums are 0
    """

    maximum: Tensor
    nonpositive: Tensor
    sums: Tensor
    finite: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of a."""
        return self.sums[0]

    @property
    def deviations(self) -> Tensor:
        """The sum of (a - the map's mean)^2."""
        return self.sums[1]

    @property
    def variation(self) -> Tensor:
        """The total variation."""
        return self.sums[2]

    @property
    def absolute(self) -> Tensor:
        """The sum of |a|."""
        return self.sums[3]

    @property
    def apart(self) -> Tensor:
        """The sum of |a[p] - a[q]| over random pairs."""
        return self.sums[4]


class Maps:
    """Activation maps [B, C, h, w] of one layer for a batch, with values that are computed from them only once.

    `images` says which images the maps are of. Without it, or unless `paired`, no pairs of positions are drawn, and
    the reduction's `apart` is 0.
    """

    def __init__(self, maps: Tensor, images: ImageBatch | None = None, *, paired: bool = True) -> None:
        self.tensor = maps.detach()
        self._images, self._paired = images, paired
        self.count, self.units, self.height, self.width = self.tensor.shape

    @property
    def on_cpu(self) -> bool:
        """Whether the maps are in the CPU's memory."""
        return self.tensor.device.type == "cpu"

    @property
    def positions(self) -> int:
        """Return how many positions a map has."""
        return self.height * self.width

    @property
    def images(self) -> ImageBatch:
        """Return the images of the maps. Raises ValueError where they were not given."""
        if self._images is None:
            raise ValueError("nobody knows which images these maps are of")
        return self._images

    @property
    def pairing(self) -> Pairing:
        """Return how positions of these maps are paired for `Reduction.apart`; `ImageBatch.drawn` draws the pairs."""
        return Pairing(self.positions)

    @cached_property
    def reduction(self) -> Reduction:
        """Return the reductions, which one pass over the maps computes."""
        if self._images is None or not self._paired:
            pairs = torch.empty((self.count, 0, 2), dtype=torch.int32, device=self.tensor.device)
        else:
            pairs = self._images.drawn(self.pairing)
        return Reduction(*operators.reduce_maps(self.tensor, pairs))

    @cached_property
    def average(self) -> Tensor:
        """Return the mean of every map, float32 [B, C], alike in any batch; 0 for one with NaN or infinite values."""
        return (self.reduction.total / self.positions).float()

    @cached_property
    def _largest(self) -> tuple[Tensor, Tensor]:
        """Return `maximum` and `finite`; on the CPU computing these is cheaper than a whole reduction."""
        if self.on_cpu and "reduction" not in self.__dict__:
            largest, finite = find_largest(self.tensor)
            return largest.masked_fill(~finite, -torch.inf), finite
        return self.reduction.maximum, self.reduction.finite

    @property
    def maximum(self) -> Tensor:
        """Return the maximum of every map, float32 [B, C]; -inf where it has NaN or infinite values."""
        return self._largest[0]

    @property
    def finite(self) -> Tensor:
        """Return whether all of a map's values are finite, bool [B, C]."""
        return self._largest[1]
