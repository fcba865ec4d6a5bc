"""The k images with the largest activation of every unit: exact, and independent of the order of the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.parts import Part
from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.kernels.in_torch import count_ties, in_order
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState

_LISTS = ("value", "mean", "key", "image", "position")


@dataclass(frozen=True)
class TopKResult:
    """The top lists of C units, largest activation first.

    value:     float32 [C, k], NaN where empty
    image:     int64 [C, k], positions in the listing, -1 where empty
    position:  int32 [C, k], where the map has its maximum first: y * w + x; 0 where empty
    map:       uint8 [C, k, h, w], the images' maps: 255 = the unit's largest value, 0 for values <= 0 and where empty
    tied:      int64 [C], how many images have the unit's largest value, in the list or not
    """

    value: NDArray[np.float32]
    image: NDArray[np.int64]
    position: NDArray[np.int32]
    map: NDArray[np.uint8]
    tied: NDArray[np.int64]


class TopK(AttributeState):
    """The monoid of sorted lists of k entries per unit, and of the number of images that have the largest value.

    An entry is (value, the maximum of an image's map; the map's mean; the image's key; the image; the position of the
    maximum; the map). Saturated units have the same value for many images. So the larger mean of the map comes first
    among equal values, and the smaller key of the image among equal means: the order of images never matters. Maps are
    kept as uint8 with 255 = the entry's own value, one byte per position, since the unit's maximum, which scales them
    in the result, is known only at the end.

    >>> top = TopK(1, 2, 1, 1, device=torch.device("cpu"))
    >>> from shapebias.precompute.statistics.image_batch import ImageBatch
    >>> top.update(Maps(torch.tensor([1.0, 3.0, 2.0]).reshape(3, 1, 1, 1), ImageBatch(np.arange(3))))
    >>> top.result().value, top.result().image
    (array([[3., 2.]], dtype=float32), array([[1, 2]]))
    """

    _STATE = (*_LISTS, "kept", "tied")

    def __init__(self, units: int, k: int, height: int, width: int, *, device: torch.device) -> None:
        self.k, self.height, self.width = k, height, width
        shape = (units, k)
        self.value, self.mean = torch.full((2, *shape), -torch.inf, dtype=torch.float32, device=device)
        self.key, self.image = torch.full((2, *shape), -1, dtype=torch.int64, device=device)
        self.position = torch.zeros(shape, dtype=torch.int32, device=device)
        self.slot = self._in_order(k)
        self.kept = torch.zeros((*shape, height * width), dtype=torch.uint8, device=device)
        self.tied = torch.zeros(units, dtype=torch.int64, device=device)

    def update(self, maps: Maps) -> None:
        """Add a batch of maps."""
        lists = [self.value, self.mean, self.key, self.image, self.position, self.slot]
        self.value, self.mean, self.key, self.image, self.position, self.slot = operators.insert_top(
            lists,
            self.kept,
            self.tied,
            maps.tensor,
            maps.reduction.maximum,
            maps.average,
            maps.images.keys,
            maps.images.positions,
        )

    def _in_order(self, count: int) -> Tensor:
        """Return 0 to `count` - 1 for every unit, int32 [C, count].

        These are the slots (the entries' rows in `kept`) when maps are in the order of the lists.
        """
        return torch.arange(count, dtype=torch.int32, device=self.value.device).repeat(len(self.value), 1)

    def _maps(self) -> Tensor:
        """Return the entries' maps in the order of the lists, uint8 [C, k, h * w], 255 = the entry's own value."""
        return self.kept[torch.arange(len(self.kept), device=self.kept.device)[:, None], self.slot.long()]

    def state_dict(self) -> Part:
        """Return the lists as arrays, with maps in the order of the lists."""
        return super().state_dict() | {"kept": self._maps().cpu().numpy()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the values from a `state_dict`."""
        super().load_state_dict(state)
        self.slot = self._in_order(self.k)

    def merge(self, other: "TopK") -> None:
        """Add the lists of `other`, which has other images."""
        count_ties(self.tied, self.value[:, 0], other.value[:, 0], other.tied)
        joined = {name: torch.cat([getattr(self, name), getattr(other, name)], 1) for name in _LISTS}
        order = in_order(joined["value"], joined["mean"], joined["key"])[:, : self.k]
        for name, entries in joined.items():
            setattr(self, name, entries.gather(1, order))
        maps = torch.cat([self._maps(), other._maps()], 1)
        self.kept = maps.gather(1, order[:, :, None].expand(self.kept.shape))
        self.slot = self._in_order(self.k)

    def result(self) -> TopKResult:
        """Return the lists, with maps scaled by the units' largest values."""
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
            self.tied.cpu().numpy(),
        )
