"""Networks and images for tests of attribution methods, and a way to run a method on them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.explain import explain
from shapebias.precompute.attribution.explanation import Explanation
from shapebias.precompute.attribution.subject import Budget, Subject

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class Linear(nn.Module):
    """A network for images [B, 3, size, size] whose scores, [B, classes], are weighted sums of the pixels, plus 2."""

    def __init__(self, size: int, classes: int = 4) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(torch.randn(classes, 3, size, size, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", images, self.weights) + 2


class Exact(Normalised):
    """A network that computes in float64: two ways to compute its gradient then do not differ by rounding at a ReLU."""

    def __init__(self, network: nn.Module, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__(network.double(), mean, std)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.double() * self.scale.double() + self.shift.double())


class Plain(nn.Module):
    """A module that calls a function of images."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, images: Tensor) -> Tensor:
        return self._function(images)


def subject_of(network: nn.Module, size: int, *, most: int = 64, takes_one: bool = True) -> Subject:
    """Return a network as methods get it, for images of `size` px in [0, 1], which it normalises by MEAN and STD.

    most:       the largest number of images in a forward
    takes_one:  whether the network takes a batch of one image
    """
    normalised = Normalised(network, MEAN, STD)
    return Subject(network=normalised, size=size, takes_one=takes_one, budget=Budget(most))


def pictures(count: int, size: int, seed: int = 0) -> Tensor:
    """Return smooth random images in [0, 1], float32 [count, 3, size, size]."""
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def explained(subject: Subject, choice: Choice | str, images: Tensor, seed: int = 0) -> Explanation:
    """Return a method's maps of images [N, 3, size, size]; the i-th explains output i modulo 3, its seed `seed` + i."""
    choice = Choice.of(choice) if isinstance(choice, str) else choice
    numbers = range(len(images))
    targets = torch.tensor([number % 3 for number in numbers])
    return explain(subject, choice, images, targets, [seed + number for number in numbers])
