"""A high quantile of every unit's activations over all images and positions, from the largest values of a sample."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.parts import Part
from shapebias.precompute.statistics.draws import Draw, Sampling
from shapebias.precompute.statistics.kernels import numba_lists, operators
from shapebias.precompute.statistics.kernels.lanes import LANES
from shapebias.precompute.statistics.kernels.on_cpu import as_rows, over_units
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState

# With n sampled values the rank error's standard deviation is at most sqrt(0.005 * 0.995 / n) = 0.0001: a rank
# error above 0.0005 is a 5 sigma event. Layers with fewer values in all are not sampled: their quantile is exact.
SAMPLE = 512_000


class Quantile(AttributeState):
    """The monoid of the `count` largest sampled values per unit, and of how many values were sampled.

    The same number of positions is drawn from every image (`Sampling`), seeded by the image's position in the listing.
    `positions` is how many positions a map has. `planned_images` is at least the number of images that will come. It
    bounds the memory to about 0.0075 * SAMPLE float32 values per unit; on a GPU, where values are sorted once per
    batch, to at least a batch's sample. The result is the `q` quantile.

    >>> from shapebias.precompute.statistics.image_batch import ImageBatch
    >>> quantile = Quantile(units=1, positions=4, planned_images=1, device=torch.device("cpu"), q=0.5)
    >>> images = ImageBatch(np.arange(1), draws=quantile.draws)
    >>> quantile.update(Maps(torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2), images))
    >>> quantile.result()
    array([2.], dtype=float32)
    """

    _STATE = ("sampled", "left_out")

    def __init__(
        self, units: int, positions: int, planned_images: int, device: torch.device, *, q: float = 0.995
    ) -> None:
        self.q = q
        self.sampling = Sampling(positions, min(float(positions), SAMPLE / max(planned_images, 1)))
        rate, per_image = self.sampling.rate, self.sampling.per_image
        self.count = math.floor((1 - q) * (1.01 * planned_images * rate + 4 * math.sqrt(planned_images))) + 8
        self.sampled = 0
        # How many of the sampled values were of maps with NaN or infinite values.
        self.left_out = torch.zeros(units, dtype=torch.int64, device=device)
        capacity = self.count + max(self.count // 2, 8 * per_image)  # more than `count`: values are rarely sorted
        self.kept = torch.full((units, capacity), -torch.inf, dtype=torch.float32, device=device)
        self.filled = torch.zeros(units, dtype=torch.int32)  # how many values are kept; on a GPU equal for all units
        self.threshold = torch.full((max(units, LANES),), torch.inf, dtype=torch.float32)
        self.threshold[:units] = -torch.inf

    @property
    def draws(self) -> list[Draw]:
        """Return which random numbers the statistic needs of an `ImageBatch`: none if all positions are taken."""
        return [] if self.sampling.is_everything else [self.sampling]

    def update(self, maps: Maps) -> None:
        """Add a batch of maps."""
        if maps.count == 0:
            return
        if self.sampling.is_everything:
            drawn, count = self._all_positions.expand(maps.count, -1), maps.count * self.sampling.positions
        else:
            drawn, count = maps.images.drawn(self.sampling), maps.images.drawn_count(self.sampling)
        self.sampled += count
        if maps.on_cpu:
            self._update_on_cpu(maps, drawn)
        else:
            first_column = self._make_room(drawn.numel())
            operators.sample_maps(self.kept, self.left_out, maps.tensor, maps.finite, drawn, first_column)
            self.filled += drawn.numel()

    @cached_property
    def _all_positions(self) -> Tensor:
        return torch.arange(self.sampling.positions, dtype=torch.int32, device=self.kept.device)

    def _make_room(self, columns: int) -> int:
        """Keep only the `count` largest values if there is no room for `columns` more columns in `kept`.

        Return the first free column. Only for a GPU, where all units have as many values.
        """
        used = int(self.filled[0])
        if used + columns > self.kept.shape[1]:
            largest = self.kept[:, :used].topk(min(self.count, used), dim=1, sorted=False).values
            used = largest.shape[1]
            if used + columns > self.kept.shape[1]:
                self.kept = self.kept.new_empty((len(self.kept), used + columns))
            self.kept[:, :used] = largest
            self.filled.fill_(used)
        return used

    def _update_on_cpu(self, maps: Maps, drawn: Tensor) -> None:
        rows, finite = as_rows(maps.tensor), maps.finite
        if not finite.all():
            self.left_out += (drawn >= 0).sum(1) @ (~finite).long()
            rows = rows.copy()
            rows[:, :, : maps.units][~finite.numpy()[:, None].repeat(rows.shape[1], 1)] = -np.inf
        state = (tensor.numpy() for tensor in (self.kept, self.filled, self.threshold))
        over_units(numba_lists.keep_above, maps.units, rows, drawn.numpy(), *state, self.count)

    def state_dict(self) -> Part:
        """Return the kept values, largest first, and the counts as arrays."""
        kept = self._kept_values()
        most = min(self.count, int((kept > -torch.inf).sum(1).max()))
        return super().state_dict() | {"kept": _largest(kept, most).cpu().numpy()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the values from a `state_dict`."""
        super().load_state_dict(state)
        self._set_kept(torch.from_numpy(np.array(state["kept"])).to(self.kept.device))
        self.threshold[: len(self.kept)] = -torch.inf

    def merge(self, other: "Quantile") -> None:
        """Add the sample of `other`."""
        self.sampled += other.sampled
        self.left_out += other.left_out
        self._set_kept(_largest(torch.cat([self._kept_values(), other._kept_values()], 1), self.count))
        self.threshold[: len(self.kept)] = self.kept[:, self.count - 1].cpu()

    def _set_kept(self, kept: Tensor) -> None:
        """Keep these values [C, n] and no others."""
        self.kept.fill_(-torch.inf)
        self.filled.fill_(kept.shape[1])
        self.kept[:, : kept.shape[1]] = kept

    def _kept_values(self) -> Tensor:
        """Return the kept values, -inf beyond those in use."""
        unused = torch.arange(self.kept.shape[1])[None, :] >= self.filled[:, None]
        return self.kept.masked_fill(unused.to(self.kept.device), -torch.inf)

    def result(self) -> NDArray[np.float32]:
        """Return T, float32 [units]: the smallest sampled value with at most 1 - q of the sample above it.

        Maps with NaN or infinite values are left out; NaN where no values remain.
        """
        sampled = (self.sampled - self.left_out).double()
        above = ((1 - self.q) * sampled + 1e-9).long().clamp(max=self.count - 1)
        highest = _largest(self._kept_values(), min(int(above.max()) + 1, self.kept.shape[1]))
        values = highest.gather(1, above[:, None])[:, 0].masked_fill(sampled == 0, torch.nan)
        result: NDArray[np.float32] = values.cpu().numpy()
        return result


def _largest(values: Tensor, count: int) -> Tensor:
    """Return the `count` largest of values [C, n], the largest first."""
    if values.device.type == "cpu":  # there, sorting all of them takes a tenth of the time of `topk`
        return torch.from_numpy(np.sort(values.numpy(), axis=1)[:, : -count - 1 : -1].copy())
    return values.topk(count, dim=1).values
