"""The images of a batch for the statistics of all layers: on the device, in one transfer."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics.draws import Draw

CPU = torch.device("cpu")


class ImageBatch:
    """The images of a batch and their random numbers, as tensors on a device.

    positions:  int64 [B], the images' positions in the listing; they identify an image, and seed the sample of its
                values
    labels:     int64 [B], the images' classes, -1 for none (also where no labels are given)
    keys:       int64 [B], the same for an image in any listing (`image_keys`); its position where no keys are given
    """

    def __init__(
        self,
        positions: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
        keys: NDArray[np.int64] | None = None,
        *,
        seed: int = 0,
        draws: Iterable[Draw] = (),
        device: torch.device = CPU,
    ) -> None:
        """Upload the batch. The numbers of `draws`, which will be needed later, are uploaded in the same transfer."""
        self._seed, self._device = seed, device
        self._positions = positions
        self._keys = positions if keys is None else keys
        self._labels = np.full(len(positions), -1, np.int64) if labels is None else labels
        self._drawn = {draw: self._draw(draw) for draw in dict.fromkeys(draws)}
        arrays = upload([positions, self._labels, self._keys, *self._drawn.values()], device)
        self.positions, self.labels, self.keys = arrays[:3]
        self._uploaded = dict(zip(self._drawn, arrays[3:], strict=True))

    def _draw(self, draw: Draw) -> NDArray[np.int32]:
        return draw.draw(self._positions, self._keys, self._seed)

    def drawn(self, draw: Draw) -> Tensor:
        """Return the random numbers of `draw` for the images, int32 [B, ...] on the device.

        They are drawn and uploaded at the first call, unless `draw` was given when the batch was made.
        """
        if draw not in self._uploaded:
            self._drawn[draw] = self._draw(draw)
            (self._uploaded[draw],) = upload([self._drawn[draw]], self._device)
        return self._uploaded[draw]

    def drawn_count(self, draw: Draw) -> int:
        """Return how many of the batch's numbers of `draw` are not -1, which stands for none."""
        self.drawn(draw)
        return int((self._drawn[draw] >= 0).sum())

    def class_counts(self, classes: int) -> Tensor:
        """Return how many of the images are of each class, int64 [classes], on the CPU."""
        return torch.from_numpy(np.bincount(self._labels[self._labels >= 0], minlength=classes))


def upload(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Return arrays as tensors on a device: to a GPU in one asynchronous transfer from pinned memory.

    On the CPU the tensors share the arrays' memory where that is contiguous.
    """
    if device.type == "cpu":
        return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    starts = np.cumsum([0, *(-(-array.nbytes // 16) * 16 for array in arrays)])
    packed = np.zeros(starts[-1], np.uint8)
    for start, array in zip(starts, arrays, strict=False):
        packed[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    on_device = torch.from_numpy(packed).pin_memory().to(device, non_blocking=True)
    return [_unpack(on_device, start, array) for start, array in zip(starts.tolist(), arrays, strict=False)]


def _unpack(packed: Tensor, start: int, array: NDArray[Any]) -> Tensor:
    """Return a view of the bytes from `start` on, with the shape and dtype of `array`, which was packed there."""
    kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
    if array.size == 0:
        return torch.empty(array.shape, dtype=kind, device=packed.device)
    return packed[start : start + array.nbytes].view(kind).view(array.shape)
