"""A network as attribution methods see it: a function of images in [0, 1], with its gradient, in batches that fit."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.attribution.methods import PROBABILITY
from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.head import Head, find_head
from shapebias.precompute.device import CPU, Device
from shapebias.precompute.memory import OutOfMemoryError, is_out_of_memory, memory_guarded, release
from shapebias.precompute.runner import Runner

MOST_IMAGES = 64  # in a forward, unless said otherwise
_PIXELS_ON_CPU = 16 * 224 * 224  # in a forward: more are no faster there, and with gradients take gigabytes
Result = TypeVar("Result")


class NotApplicable(ShapebiasError):  # noqa: N818 (no fault of anybody: the other methods go on)
    """A method does not hold for a network; its text is one line that says why."""


@dataclass
class Budget:
    """The most images that a network takes at once; fewer from there on where memory did not suffice, as `notes`
    say."""

    images: int = MOST_IMAGES
    notes: list[str] = field(default_factory=list)

    def halve(self, images: int) -> None:
        """Go on with half of as many images as were too many."""
        self.images = images // 2
        self.note(f"not enough memory for {images} images at once: went on with {self.images}")

    def note(self, line: str) -> None:
        """Add a line for the user, once."""
        if line not in self.notes:
            self.notes.append(line)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network as a function of images in [0, 1]. It is put into eval mode, and its parameters are frozen.

    network:    float32 [B, 3, H, W] in [0, 1] to scores [B, classes]
    size:       side of its images, px
    takes_one:  whether it takes a batch of one image; else such an image is given twice
    guarded:    a context in which what the network raises becomes one line
    """

    network: Normalised
    device: Device = CPU
    size: int = 224
    takes_one: bool = True
    budget: Budget = field(default_factory=Budget)
    guarded: Callable[[], AbstractContextManager[None]] = nullcontext

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    @classmethod
    def of(cls, runner: Runner) -> Self:
        """Return the network of a run.

        All methods see it in the same precision, one in which gradients do not underflow. Raises NotApplicable where it
        gives no class scores.
        """
        if runner.outputs is None:
            raise NotApplicable(f"{runner.model.label} gives no class scores that could be explained")
        device, preprocessing = runner.device.with_gradients, runner.model.preprocessing
        size = preprocessing.geometry.crop
        most = MOST_IMAGES if device.is_cuda else min(MOST_IMAGES, max(1, _PIXELS_ON_CPU // size**2))
        return cls(
            network=Normalised(runner.network, preprocessing.mean, preprocessing.std, device),
            device=device,
            size=size,
            takes_one=runner.takes_one,
            budget=Budget(most),
            guarded=runner.guarded,
        )

    @property
    def trial_images(self) -> Tensor:
        """Two smooth random images, by which it is found out what holds for the network, float32 [2, 3, size, size]."""
        coarse = torch.rand((2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
        return F.interpolate(coarse, self.size, mode="bilinear").to(self.device.device)

    @cached_property
    def head(self) -> Head:
        """Where its last maps are."""
        with self.running():
            return find_head(self.network, self.trial_images)

    @property
    def notes(self) -> list[str]:
        """Lines for the user, each once."""
        return self.budget.notes

    def images(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return images uint8 [B, H, W, 3] as methods take them, float32 [B, 3, H, W] in [0, 1], on the device."""
        return self.device.upload(pixels).permute(0, 3, 1, 2).float().div_(255)

    def scores(self, images: Tensor) -> Tensor:
        """Return the class scores (logits) of images, float32 [B, classes]."""
        with torch.no_grad():
            return torch.cat(self.in_parts(self.forward, images))

    def probabilities(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return the softmax probability of an output for each image, float32 [B]; targets int64 [B]."""
        return self.score(images, targets, PROBABILITY)

    def score(self, images: Tensor, targets: Tensor, of: str) -> Tensor:
        """Return the logit or the softmax probability, as `of` says, of an output for each image, float32 [B]."""
        return at_target(self.scores(images), targets, of).float()

    def gradients(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit of an output for each image, float32 [B], and its derivative by the image, float32 [B, 3, H,
        W]. Raises NotApplicable where the network has no gradient."""
        parts = self.in_parts(self._gradients_of_part, images, targets)
        logits, gradients = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(gradients)

    def in_parts(self, action: Callable[..., Result], *tensors: Tensor) -> list[Result]:
        """Return what `action` gives for the rows of tensors of one length, at most as many at once as the budget says;
        half as many from there on where memory does not suffice. Raises OutOfMemoryError where one row is too many."""
        results, start = [], 0
        while start < len(tensors[0]):
            part = [tensor[start : start + self.budget.images] for tensor in tensors]
            try:
                with self.running():
                    results.append(action(*part))
            except OutOfMemoryError:
                if len(part[0]) == 1:
                    raise
                self.budget.halve(len(part[0]))
                release()
                continue
            start += len(part[0])
        return results

    @contextmanager
    def running(self) -> Iterator[None]:
        """Round as the device's precision says while the block runs, and make one line of what the network raises."""
        with memory_guarded("one image does not fit into memory"), self.guarded(), self.device.rounding():
            yield

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores of images that fit into memory, float32 [B, classes]; with a gradient where one is
        asked for."""
        if len(images) == 1 and not self.takes_one:
            return self.forward(images.expand(2, -1, -1, -1))[:1]
        scores: Tensor = self.network(images)
        return scores

    def _gradients_of_part(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            logits = at_target(self.forward(images), targets)
            (gradient,) = derivatives(logits, images)
        nothing = logits.detach() * 0  # NaN where a logit is no number: a ReLU has a gradient there all the same
        return logits.detach(), gradient.add_(nothing[:, None, None, None])


def at_target(scores: Tensor, targets: Tensor, of: str = "logit") -> Tensor:
    """Return the logit or softmax probability of one output for each image, [B], of scores [B, classes]."""
    scores = scores.softmax(1) if of == PROBABILITY else scores
    return scores.gather(1, targets[:, None])[:, 0]


def derivatives(logits: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the derivatives of the sum of logits by tensors that they were computed from.

    Raises NotApplicable where there are none: of quantised and scripted networks, and those that detach what they
    compute.
    """
    if not logits.requires_grad:
        raise NotApplicable("its class scores have no gradient by the image, as of quantised or detached networks")
    try:
        gradients = torch.autograd.grad(logits.sum(), tensors)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise NotApplicable(
            f"its class scores have no gradient: {printable(str(error).splitlines()[0], 200)}"
        ) from error
    return gradients
