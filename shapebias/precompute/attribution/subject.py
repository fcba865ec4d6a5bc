"""A network as attribution methods use it: a function of images in [0, 1], with its gradient, in batches that fit into
memory.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor

from shapebias.core.attribution.methods import PROBABILITY
from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.head import Head, find_head
from shapebias.precompute.device import CPU, Device, Pixels
from shapebias.precompute.memory import OutOfMemoryError, is_out_of_memory, memory_guarded, release
from shapebias.precompute.runner import Runner

MOST_IMAGES = 64  # images in a forward, unless the caller says otherwise
# Pixels in a forward on the CPU: more are not faster, and with gradients take gigabytes.
_PIXELS_ON_CPU = 16 * 224 * 224
Result = TypeVar("Result")


class NotApplicable(ShapebiasError):  # noqa: N818 (no fault of anybody: the other methods go on)
    """A method does not apply to a network; the text is one line that says why."""


@dataclass
class Budget:
    """The largest number of images that a network is given at once, and lines for the user.

    The number shrinks where memory is too small, as `notes` then say.
    """

    images: int = MOST_IMAGES
    notes: list[str] = field(default_factory=list)

    def halve(self, images: int) -> None:
        """Set the budget to half of `images`, a number of images that was too large for the memory, and note it."""
        self.images = images // 2
        self.note(f"not enough memory for {images} images at once: went on with {self.images}")

    def note(self, line: str) -> None:
        """Add a line for the user, unless it is already there."""
        if line not in self.notes:
            self.notes.append(line)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network as a function of images in [0, 1]. It is put into eval mode, and its parameters are frozen.

    network:    maps float32 [B, 3, H, W] in [0, 1] to scores [B, classes]
    size:       side of its images, in px
    takes_one:  whether it takes a batch of one image; else a single image is given twice
    budget:     how many images it takes at once
    guarded:    returns a context that turns the network's errors into errors of one line
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
        """Return a run's network as a subject.

        All methods use the same precision: the run's, but float32 in place of float16, in which gradients underflow.
        Raises NotApplicable where the network gives no class scores.
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
        """Two smooth random images for testing which methods apply to the network, float32 [2, 3, size, size].

        They are always the same, in [0, 1), and on the device.
        """
        coarse = torch.rand((2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
        return F.interpolate(coarse, self.size, mode="bilinear").to(self.device.device)

    @cached_property
    def head(self) -> Head:
        """The points where the network's last maps are computed. Raises the errors of `running`."""
        with self.running():
            return find_head(self.network, self.trial_images)

    @property
    def notes(self) -> list[str]:
        """Lines for the user, each once."""
        return self.budget.notes

    def images(self, pixels: Pixels) -> Tensor:
        """Return images uint8 [B, H, W, 3] as input of methods, float32 [B, 3, H, W] in [0, 1], on the device."""
        return self.device.upload(pixels).permute(0, 3, 1, 2).float().div_(255)

    def scores(self, images: Tensor) -> Tensor:
        """Return the class scores (logits) of images, float32 [B, classes]."""
        with torch.no_grad():
            return torch.cat(self.in_parts(self.forward, images))

    def probabilities(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return the softmax probability of one output for each image, float32 [B]; targets int64 [B]."""
        return self.score(images, targets, PROBABILITY)

    def score(self, images: Tensor, targets: Tensor, of: str) -> Tensor:
        """Return a score of one output, targets int64 [B], for each image: float32 [B].

        `of` is `logit`, or `probability` for the softmax probability.
        """
        return at_target(self.scores(images), targets, of).float()

    def gradients(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit of one output for each image, float32 [B], and its derivative with respect to the image,
        float32 [B, 3, H, W].

        targets int64 [B]. The derivative is NaN where the logit is NaN or infinite. Raises NotApplicable where the
        network has no gradient.
        """
        parts = self.in_parts(self._gradients_of_part, images, targets)
        logits, gradients = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(gradients)

    def in_parts(self, action: Callable[..., Result], *tensors: Tensor) -> list[Result]:
        """Return the results of `action` for the rows of tensors of equal length, with at most as many rows at once as
        the budget allows.

        `action` gets the same rows of all tensors. Where memory is too small, the budget is halved. Raises
        OutOfMemoryError where even one row is too many, ShapebiasError where the network fails, and what `action`
        raises.
        """
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
        """Round as the device's precision says during the block, and turn the network's errors into errors of
        one line.

        Raises OutOfMemoryError where memory is too small, and ShapebiasError for other errors of the network.
        """
        with memory_guarded("one image does not fit into memory"), self.guarded(), self.device.rounding():
            yield

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores of images that fit into memory together, float32 [B, classes].

        Unlike `scores`, it leaves gradients enabled or disabled, and passes the network's own errors on.
        """
        if len(images) == 1 and not self.takes_one:
            return self.forward(images.expand(2, -1, -1, -1))[:1]
        scores: Tensor = self.network(images)
        return scores

    def _gradients_of_part(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            logits = at_target(self.forward(images), targets)
            (gradient,) = derivatives(logits, images)
        nothing = logits.detach() * 0  # NaN where the logit is NaN: a ReLU would still have a gradient there
        return logits.detach(), gradient.add_(nothing[:, None, None, None])


def at_target(scores: Tensor, targets: Tensor, of: str = "logit") -> Tensor:
    """Return the logit or softmax probability, as `of` says, of one output for each image, [B].

    scores [B, classes] are logits; targets int64 [B].
    """
    scores = scores.softmax(1) if of == PROBABILITY else scores
    return scores.gather(1, targets[:, None])[:, 0]


def derivatives(logits: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the derivatives of the sum of logits with respect to tensors that they were computed from.

    Raises NotApplicable where there are none, as for quantised and scripted networks, and those that detach tensors.
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
