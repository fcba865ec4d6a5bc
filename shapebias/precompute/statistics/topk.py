"""The k images with the largest activation of every unit: exact, ties in the order of the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.parts import Part
from shapebias.precompute.statistics import kernels
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


@dataclass(frozen=True)
class TopKResult:
    """Lists of images, the strongest first.

    value:     float32 [C, k], NaN where empty
    image:     int64 [C, k], positions in the listing, -1 where empty
    position:  int32 [C, k], of the maximum in raster order
    map:       uint8 [C, k, h, w], 255 = the unit's largest value
    """

    value: NDArray[np.float32]
    image: NDArray[np.int64]
    position: NDArray[np.int32]
    map: NDArray[np.uint8]


class TopK(AttributeState):
    """The monoid of sorted lists of k entries (value, image, position of the maximum, map) a unit.

    Maps are kept as uint8 with 255 = the entry's own value, a byte a position: the unit's maximum, by which the
    result scales them, is known at the end only. Images must come in the order of their positions in the listing.
    """

    _STATE = ("value", "image", "position", "kept")

    def __init__(self, units: int, k: int, height: int, width: int, *, device: torch.device) -> None:
        self.k, self.height, self.width = k, height, width
        shape = (units, k)
        self.value = torch.full(shape, -torch.inf, dtype=torch.float32, device=device)
        self.image = torch.full(shape, -1, dtype=torch.int64, device=device)
        self.position = torch.zeros(shape, dtype=torch.int32, device=device)
        self.slot = self._in_order(k)
        self.kept = torch.zeros((*shape, height * width), dtype=torch.uint8, device=device)

    def update(self, maps: Maps) -> None:
        """Take in a batch of maps, whose positions in the listing are above all earlier ones."""
        if maps.on_cpu:
            lists = (tensor.numpy() for tensor in (self.value, self.image, self.position, self.slot, self.kept))
            kernels.over_units(
                kernels.insert_top, maps.units, maps.array, maps.reduction.maximum.numpy(), maps.positions, *lists
            )
        else:
            self._update_on_device(maps, torch.from_numpy(maps.positions).to(maps.tensor.device))

    def _update_on_device(self, maps: Maps, positions: Tensor) -> None:
        """Do the same with PyTorch's operations; maps are gathered only for entries that stay in a list."""
        maximum = maps.reduction.maximum
        known = self.value.shape[1]
        ranked = torch.cat([self.value, maximum.T.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)], 1)
        value, order = ranked.sort(dim=1, descending=True, stable=True)
        order = order[:, : self.k]
        unit, rank = torch.nonzero((order >= known) & (value[:, : self.k] > -torch.inf), as_tuple=True)
        self._take(value[:, : self.k], order.clamp(max=known - 1))
        if len(unit) == 0:
            return
        row = order[unit, rank] - known
        entry = maps.flat[row, :, unit]
        new = value[unit, rank]
        self.image[unit, rank] = positions[row]
        self.position[unit, rank] = (entry == new[:, None]).int().argmax(1).int()
        share = entry.clamp(min=0) / new[:, None]
        self.kept[unit, rank] = (torch.where(new[:, None] > 0, share, 0.0) * 255 + 0.5).to(torch.uint8)

    def _take(self, value: Tensor, order: Tensor) -> None:
        """Make the lists those entries of themselves that `order` [C, k] names, under new values."""
        self.value = value.contiguous()
        self.image = self.image.gather(1, order)
        self.position = self.position.gather(1, order)
        self.kept = self._maps().gather(1, order[:, :, None].expand(-1, -1, self.kept.shape[2]))
        self.slot = self._in_order(self.k)

    def _in_order(self, count: int) -> Tensor:
        """Return the slots of `count` entries a unit, their maps being in the order of the lists: int32 [C, count]."""
        return torch.arange(count, dtype=torch.int32, device=self.value.device).repeat(len(self.value), 1)

    def _maps(self) -> Tensor:
        """Return the entries' maps in list order, [C, k, h * w]."""
        return self.kept[torch.arange(len(self.kept), device=self.kept.device)[:, None], self.slot.long()]

    def state_dict(self) -> Part:
        """Return the lists as arrays, maps in the order of the lists."""
        return super().state_dict() | {"kept": self._maps().cpu().numpy()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what returned `state`."""
        super().load_state_dict(state)
        self.slot = self._in_order(self.k)

    def merge(self, other: "TopK") -> None:
        """Take in the lists of `other`, whose images come after this one's."""
        mine, theirs = self._maps(), other._maps()
        value, order = torch.cat([self.value, other.value], 1).sort(dim=1, descending=True, stable=True)
        order = order[:, : self.k]
        self.image = torch.cat([self.image, other.image], 1)
        self.position = torch.cat([self.position, other.position], 1)
        self.kept = torch.cat([mine, theirs], 1)
        self.slot = self._in_order(2 * self.k)
        self._take(value[:, : self.k], order)

    def result(self) -> TopKResult:
        """Return the lists, their maps scaled by the units' largest values."""
        value = self.value.cpu().numpy()
        empty = np.isneginf(value)
        scale = np.divide(value, value[:, :1], out=np.zeros_like(value), where=(value > 0) & np.isfinite(value[:, :1]))
        maps = self._maps().cpu().numpy()
        for unit in range(len(maps)):  # one unit at a time: float32 copies of all maps would not fit
            np.rint(maps[unit] * scale[unit][:, None], out=maps[unit], casting="unsafe")
        return TopKResult(
            np.where(empty, np.nan, value).astype(np.float32),
            np.where(empty, -1, self.image.cpu().numpy()),
            self.position.cpu().numpy(),
            maps.reshape(*value.shape, self.height, self.width),
        )
