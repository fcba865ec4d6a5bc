"""The pixels of attribution maps, enlarged to the images' size, in the order of importance."""

from collections.abc import Sequence

import torch
from torch import Tensor

from shapebias.core.attribution.method import Method
from shapebias.precompute.attribution.enlarging import bilinear, enlarged
from shapebias.precompute.device import CPU, Device

TIES = "pixels of equal importance: in an order drawn for the image, by its path and the seed"


def at_size(maps: Tensor, height: int, width: int) -> Tensor:
    """Return float32 maps [B, h, w] enlarged bilinearly to the images' size, [B, height, width]."""
    if maps.shape[1:] == (height, width):
        return maps
    rows, columns = (
        bilinear(small, large).to(maps.device) for small, large in zip(maps.shape[1:], (height, width), strict=True)
    )
    return enlarged(maps, rows, columns)


class Ranking:
    """Ranks the pixels of maps of a batch of images, of `pixels` pixels each.

    Pixels of equal importance are in a random order, drawn on the CPU with the image's seed: it is the same for all
    methods, networks and devices.
    """

    def __init__(self, seeds: Sequence[int], pixels: int, device: Device = CPU) -> None:
        drawn = [torch.randperm(pixels, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        self._drawn = device.upload(torch.stack(drawn).numpy())

    def __call__(self, method: Method, maps: Tensor) -> Tensor:
        """Return the indices of each map's pixels, y * W + x, the most important first, int64 [B, H * W].

        maps float32 [B, H, W]. Sensitivities are ranked by their absolute value, other maps by their value.
        """
        values = maps.abs() if method.sensitivity else maps
        shuffled = values.flatten(1).gather(1, self._drawn)
        return self._drawn.gather(1, shuffled.argsort(dim=1, descending=True, stable=True))


def ranks(order: Tensor) -> Tensor:
    """Return the rank of each pixel in orders int64 [B, pixels] of pixels: int32 [B, pixels], 0 for the first one."""
    numbers = torch.arange(order.shape[1], dtype=torch.int32, device=order.device)
    return torch.empty(order.shape, dtype=torch.int32, device=order.device).scatter_(
        1, order, numbers.expand(order.shape)
    )
