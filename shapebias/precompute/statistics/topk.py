"""The k images with the largest activation of every unit: exact, ties in the order of the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics import kernels
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.state import Part, pack, unpack


@dataclass(frozen=True)
class TopKResult:
    """Strongest first. value float32 [C, k], NaN where empty; image int64 [C, k], -1 where empty; position int32
    [C, k], of the maximum in raster order; map uint8 [C, k, h, w], 255 = the unit's largest value."""

    value: NDArray[np.float32]
    image: NDArray[np.int64]
    position: NDArray[np.int32]
    map: NDArray[np.uint8]


class TopK:
    """The monoid of sorted lists of k entries (value, image, position of the maximum, map) a unit.

    Maps are kept as uint8 with 255 = the entry's own value, a byte a position: the unit's maximum, by which the
    result scales them, is known at the end only. Images must come in ascending order.
    """

    _STATE = ("value", "image", "position", "kept")

    def __init__(self, units: int, k: int, height: int, width: int, device: torch.device) -> None:
        self.k, self.height, self.width = k, height, width
        shape = (units, k)
        self.value = torch.full(shape, -torch.inf, dtype=torch.float32, device=device)
        self.image = torch.full(shape, -1, dtype=torch.int64, device=device)
        self.position = torch.zeros(shape, dtype=torch.int32, device=device)
        self.slot = torch.arange(k, dtype=torch.int32, device=device).repeat(units, 1)
        self.kept = torch.zeros((*shape, height * width), dtype=torch.uint8, device=device)

    def update(self, maps: Maps, images: NDArray[np.int64]) -> None:
        """Takes in a batch; images int64 [B] are their indices, above all earlier ones."""
        if maps.on_cpu:
            lists = (each.numpy() for each in (self.value, self.image, self.position, self.slot, self.kept))
            kernels.over_units(
                kernels.insert_top, maps.units, maps.array, maps.reduction.maximum.numpy(), images, *lists
            )
        else:
            self._update_on_device(maps, torch.from_numpy(images).to(maps.tensor.device))

    def _update_on_device(self, maps: Maps, images: Tensor) -> None:
        """The same with PyTorch's operations; maps are gathered only for entries that stay in a list."""
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
        found = maps.flat[row, :, unit]
        new = value[unit, rank]
        self.image[unit, rank] = images[row]
        self.position[unit, rank] = (found == new[:, None]).int().argmax(1).int()
        share = found.clamp(min=0) / new[:, None]
        self.kept[unit, rank] = (torch.where(new[:, None] > 0, share, 0.0) * 255 + 0.5).to(torch.uint8)

    def _take(self, value: Tensor, order: Tensor) -> None:
        """Makes the lists those entries of themselves that `order` [C, k] names, under new values."""
        self.value = value.contiguous()
        self.image = self.image.gather(1, order)
        self.position = self.position.gather(1, order)
        self.kept = self._maps().gather(1, order[:, :, None].expand(-1, -1, self.kept.shape[2]))
        self.slot = torch.arange(self.k, dtype=torch.int32, device=order.device).repeat(len(order), 1)

    def _maps(self) -> Tensor:
        """The entries' maps in list order, [C, k, h * w]."""
        return self.kept[torch.arange(len(self.kept), device=self.kept.device)[:, None], self.slot.long()]

    def state(self) -> Part:
        """What `restore` needs."""
        return pack(self, self._STATE) | {"kept": self._maps().cpu().numpy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Becomes what gave `state`."""
        unpack(self, self._STATE, state)

    def merge(self, other: "TopK") -> None:
        """Takes in the lists of `other`, whose images come after this one's."""
        mine, theirs = self._maps(), other._maps()
        value, order = torch.cat([self.value, other.value], 1).sort(dim=1, descending=True, stable=True)
        order = order[:, : self.k]
        self.image = torch.cat([self.image, other.image], 1)
        self.position = torch.cat([self.position, other.position], 1)
        self.kept = torch.cat([mine, theirs], 1)
        self.slot = torch.arange(2 * self.k, dtype=torch.int32, device=order.device).repeat(len(order), 1)
        self._take(value[:, : self.k], order)

    def result(self) -> TopKResult:
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
