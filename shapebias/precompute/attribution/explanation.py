"""What is asked of an attribution method, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Question:
    """Images float32 [B, 3, H, W] in [0, 1], the output to explain of each, int64 [B], and a seed for each.

    All that a method draws for an image is drawn on the CPU by the image's seed: it is the same in any batch, in any
    order, for any network and on any device.
    """

    images: Tensor
    targets: Tensor
    seeds: Sequence[int]

    def __len__(self) -> int:
        return len(self.images)

    def part(self, numbers: Sequence[int]) -> "Question":
        """Return the question for some of the images."""
        return Question(self.images[numbers], self.targets[numbers], [self.seeds[number] for number in numbers])

    def generators(self) -> list[torch.Generator]:
        """Return a new generator for each image."""
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The maps that a method gives for a batch of images.

    maps:      float32 [B, h, w] at the method's own resolution; 0 everywhere where nothing speaks for any place, NaN
               everywhere where the network's scores are no numbers
    gap:       float32 [B], of methods whose maps should sum up to score(image) - score(baseline): the difference, over
               the absolute value of that; else None
    fallback:  the name of the method that took the place of one that does not hold for the network, else None
    """

    maps: Tensor
    gap: Tensor | None = None
    fallback: str | None = None


def relative_gap(maps: Tensor, rise: Tensor) -> Tensor:
    """Return how far the sum of each map [B, h, w] is from what it should be, `rise` [B], relative to its size."""
    return (maps.flatten(1).sum(1) - rise).abs() / rise.abs().clamp_min(torch.finfo(torch.float32).tiny)
