"""A high quantile of every unit's activations over all images and positions, from the largest values of a sample."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.parts import Part
from shapebias.precompute.statistics import kernels
from shapebias.precompute.statistics.draws import uniform
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState

# With n sampled values the rank error's standard deviation is at most sqrt(0.005 * 0.995 / n) = 0.0001: a rank
# error above 0.0005 is a 5 sigma event. Layers with fewer values in all are not sampled: their quantile is exact.
SAMPLE = 512_000


class Quantile(AttributeState):
    """The monoid of the `count` largest sampled values a unit, and of how many values were sampled.

    From every image the same number of positions is drawn (or one less, by chance, so that the mean is right), one at
    random from each of as many equal parts of the map: stratified, so the error is at most that of simple random
    sampling. What is drawn is seeded by the image's position in the listing.
    A planned number of images bounds the memory: about 0.0075 * SAMPLE float32 values a unit, however many come.
    """

    _STATE = ("sampled", "left_out")

    def __init__(
        self, units: int, positions: int, planned_images: int, device: torch.device, *, q: float = 0.995, seed: int = 0
    ) -> None:
        self.q, self.seed, self.positions = q, seed, positions
        self.rate = min(float(positions), SAMPLE / max(planned_images, 1))
        self.per_image = math.ceil(self.rate)
        self.count = math.floor((1 - q) * (1.01 * planned_images * self.rate + 4 * math.sqrt(planned_images))) + 8
        self.sampled = 0
        self.left_out = torch.zeros(units, dtype=torch.int64)  # of those sampled: of maps that are not all numbers
        capacity = self.count + max(self.count // 2, 8 * self.per_image)  # room, so that it is sorted out rarely
        self.kept = torch.full((units, capacity), -torch.inf, dtype=torch.float32, device=device)
        self.filled = torch.zeros(units, dtype=torch.int32)
        self.threshold = torch.full((units,), -torch.inf, dtype=torch.float32)

    def update(self, maps: Maps) -> None:
        """Take in a batch of maps."""
        drawn = self._draw(maps.positions)
        row, column = np.nonzero(drawn >= 0)
        self.sampled += len(row)
        if not maps.reduction.all_finite:
            self.left_out += torch.from_numpy((drawn >= 0).sum(1)) @ (~maps.reduction.finite).cpu().long()
        if maps.on_cpu:
            kernels.over_units(self._keep_on_cpu, maps.units, maps.usable.numpy(), drawn)
        elif len(row):
            device = maps.tensor.device
            position = torch.from_numpy(drawn[row, column].astype(np.int64)).to(device)
            self._keep_on_device(maps.usable[torch.from_numpy(row).to(device), position].T)

    def _draw(self, images: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the sampled positions of each image, int32 [B, per_image]; the last is -1 where it has one less."""
        if self.rate == self.positions:
            return np.broadcast_to(np.arange(self.positions, dtype=np.int32), (len(images), self.positions))
        whole = math.floor(self.rate)
        more = uniform(self.seed, images[:, None], np.zeros((1, 1), np.uint64)) < self.rate - whole
        part = np.arange(self.per_image)
        jitter = uniform(self.seed, images[:, None], (part + 1).astype(np.uint64)[None, :])
        parts = np.maximum(whole + more, 1)
        drawn = ((part + jitter) * (self.positions / parts)).astype(np.int32)
        return np.where(part < whole + more, np.minimum(drawn, self.positions - 1), np.int32(-1))

    def _keep_on_cpu(self, maps: NDArray[np.float32], drawn: NDArray[np.int32], start: int, stop: int) -> None:
        """Take in the values of the units from `start` to `stop`; full lists are cut to their largest values."""
        kept, filled, threshold = (tensor.numpy() for tensor in (self.kept, self.filled, self.threshold))
        row = 0
        while row < len(drawn):
            row = kernels.keep_above(maps, drawn, kept, filled, threshold, row, start, stop)
            room = kept.shape[1] - self.count
            full = start + np.flatnonzero(filled[start:stop] > self.count + room // 2)
            if row < len(drawn) and len(full):
                for unit in full:
                    values = kept[unit, : filled[unit]]
                    values.partition(filled[unit] - self.count)
                    kept[unit, : self.count] = values[filled[unit] - self.count :]
                    threshold[unit] = kept[unit, 0 : self.count].min()
                filled[full] = self.count

    def _keep_on_device(self, values: Tensor) -> None:
        """Take in values [C, n] of all units at once."""
        everything = torch.cat([self.kept, values], 1)
        self.kept = everything.topk(self.kept.shape[1], dim=1, sorted=False).values

    def state_dict(self) -> Part:
        """Return the kept values, the largest first, and the counts as arrays."""
        kept = self._clean()
        most = min(self.count, int((kept > -torch.inf).sum(1).max()))
        largest = kept.topk(most, dim=1).values
        return super().state_dict() | {"kept": largest.cpu().numpy()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what returned `state`."""
        super().load_state_dict(state)
        kept = torch.from_numpy(np.array(state["kept"])).to(self.kept.device)
        self.kept.fill_(-torch.inf)
        self.kept[:, : kept.shape[1]] = kept
        self.filled.fill_(kept.shape[1])
        self.threshold.fill_(-torch.inf)

    def merge(self, other: "Quantile") -> None:
        """Take in what `other` sampled."""
        self.sampled += other.sampled
        self.left_out += other.left_out
        capacity = self.kept.shape[1]
        both = torch.cat([self._clean(), other._clean()], 1).topk(self.count, dim=1).values
        self.kept[:, : self.count] = both
        self.kept[:, self.count :] = -torch.inf
        self.filled.fill_(self.count)
        self.threshold = both[:, -1].cpu().contiguous()
        assert self.kept.shape[1] == capacity

    def _clean(self) -> Tensor:
        """Return the kept values, -inf beyond those in use."""
        if self.kept.device.type != "cpu":
            return self.kept
        unused = torch.arange(self.kept.shape[1])[None, :] >= self.filled[:, None]
        return self.kept.masked_fill(unused, -torch.inf)

    def result(self) -> NDArray[np.float32]:
        """Return T, a sampled value with a fraction of at most 1 - q of the sample above it; NaN for none: float32
        [units]."""
        sampled = (self.sampled - self.left_out).double().to(self.kept.device)
        above = ((1 - self.q) * sampled + 1e-9).long().clamp(max=self.count - 1)
        highest = self._clean().topk(min(int(above.max()) + 1, self.kept.shape[1]), dim=1).values
        values = highest.gather(1, above[:, None])[:, 0].masked_fill(sampled == 0, torch.nan)
        result: NDArray[np.float32] = values.cpu().numpy()
        return result
