"""The input and the result of an attribution method."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Question:
    """The images to explain.

    images:   float32 [B, 3, H, W] in [0, 1]
    targets:  int64 [B], the output to explain for each image
    seeds:    one for each image

    Random numbers for an image are drawn on the CPU with the image's seed, so they are the same in any batch and order,
    for any network and on any device.
    """

    images: Tensor
    targets: Tensor
    seeds: Sequence[int]

    def __len__(self) -> int:
        return len(self.images)

    def part(self, numbers: Sequence[int]) -> "Question":
        """Return the question for some of the images, those at the indices `numbers`."""
        return Question(self.images[numbers], self.targets[numbers], [self.seeds[number] for number in numbers])

    def generators(self) -> list[torch.Generator]:
        """Return a new generator for each image, on the CPU, with the image's seed."""
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The maps of one method for a batch of images.

    maps:      float32 [B, h, w] at the method's own resolution; 0 everywhere where there is no evidence, NaN everywhere
               where the network's scores are NaN or infinite
    gap:       float32 [B], for methods whose maps should sum up to logit(image) - logit(baseline): the distance of the
               sum from that, as a fraction of its absolute value; None for other methods
    fallback:  the name of the method whose maps these are, where it replaced the one that was asked for, which does
               not apply to the network; else None
    """

    maps: Tensor
    gap: Tensor | None = None
    fallback: str | None = None


def relative_gap(maps: Tensor, rise: Tensor) -> Tensor:
    """Return how far the sum of each map is from its right value, `rise`, as a fraction of that: float32 [B].

    maps [B, h, w]; rise [B].
    """
    return (maps.flatten(1).sum(1) - rise).abs() / rise.abs().clamp_min(torch.finfo(torch.float32).tiny)
