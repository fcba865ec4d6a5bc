"""Projected gradient descent (Madry et al. 2018, arXiv 1706.06083): the attack, and accuracy under it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.device import CPU, Device

Randomness = torch.Generator | Sequence[torch.Generator] | None  # of a batch, or one for each of its images

NORMS = ("l2", "linf")
_STEP_RATIOS = {"l2": 7 / 6, "linf": 7 / 4}  # steps * step size / epsilon: 7 x 0.5 for 3; 7 x 2/255 for 8/255 (Madry)


@dataclass(frozen=True)
class Attack:
    """A projected gradient descent on images in [0, 1]. Raises UsageError for a value out of range.

    epsilon:       the ball's radius: Euclidean over all pixels and colours of an image (l2), or of every value (linf)
    step_size:     how far a step goes, in the same norm
    random_start:  start at a random point of the ball, not at the image
    """

    norm: str
    epsilon: float
    steps: int
    step_size: float
    random_start: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UsageError(f"no norm {printable(self.norm)}: {' or '.join(NORMS)}")
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UsageError(f"epsilon must be at least 0, not {self.epsilon:g}")
        if self.steps < 1:
            raise UsageError(f"the attack needs at least 1 step, not {self.steps}")
        if not (math.isfinite(self.step_size) and self.step_size >= 0):
            raise UsageError(f"the attack's step size must be at least 0, not {self.step_size:g}")

    @classmethod
    def usual(
        cls, norm: str, size: int, epsilon: float | None = None, steps: int = 7, step_size: float | None = None
    ) -> "Attack":
        """Return the published recipe, for images of `size` px, where a value is None.

        l2: epsilon 3 at 224 px, 7 steps of 0.5; at other sizes the same root mean square a pixel. linf: epsilon 4/255.
        """
        if epsilon is None:
            epsilon = 3 * size / 224 if norm == "l2" else 4 / 255
        if step_size is None:
            step_size = _STEP_RATIOS.get(norm, 1.0) * epsilon / max(steps, 1)
        return cls(norm, epsilon, steps, step_size)

    @classmethod
    def reaching(cls, norm: str, epsilon: float, steps: int) -> "Attack":
        """Return the attack whose steps reach any point of the ball from any other: 2.5 * epsilon / steps (Madry et
        al.)."""
        return cls(norm, epsilon, steps, 2.5 * epsilon / max(steps, 1))

    def __call__(self, network: nn.Module, batch: Tensor, labels: Tensor, generator: Randomness = None) -> Tensor:
        """Return images near `batch` on which the cross entropy is large: `steps` steps of ascent, each projected.

        network:    takes float images in [0, 1] (see `Normalised`) and gives scores [B, classes]; it is attacked in
                    eval mode and with frozen parameters, and left as it was
        batch:      float [B, 3, H, W] in [0, 1]; labels: int64 [B]
        generator:  of the random start, on any device. One for the batch is the fastest; with one for each image an
                    image's start is the same in any batch

        The result is float [B, 3, H, W], in [0, 1] and within `epsilon` of `batch`, without a gradient. Steps (Madry
        et al. 2018): x + step_size * g / |g| (l2) or x + step_size * sign(g) (linf), g the gradient of the loss.
        """
        batch = batch.detach()
        with _as_constant(network), torch.enable_grad():
            attacked = batch
            if self.random_start:
                attacked = self._within(batch, _start(batch, self.norm, self.epsilon, generator))
            for _ in range(self.steps):
                attacked = attacked.detach().requires_grad_()
                loss = F.cross_entropy(network(attacked), labels, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, attacked)
                with torch.no_grad():
                    moved = _direction(gradient, self.norm).mul_(self.step_size).add_(attacked).sub_(batch)
                    attacked = self._within(batch, moved)
        return attacked.detach()

    def _within(self, batch: Tensor, change: Tensor) -> Tensor:
        """Return batch + change, in the ball and in [0, 1].

        Clamping moves a value towards the image's, so it leaves no ball.
        """
        return project(change, self.norm, self.epsilon).add_(batch).clamp_(0, 1)

    def to_attributes(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


class Normalised(nn.Module):
    """`network` as a function of float32 images [B, 3, H, W] in [0, 1]: (images - mean) / std, then the network.

    The network runs in the device's precision; its output is float32 all the same.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float], device: Device = CPU) -> None:
        super().__init__()
        self.network, self._device = network, device
        scale = 1 / torch.tensor(std, dtype=torch.float32, device=device.device)
        shift = -torch.tensor(mean, dtype=torch.float32, device=device.device) * scale
        self.scale, self.shift = scale.view(1, 3, 1, 1), shift.view(1, 3, 1, 1)

    def forward(self, batch: Tensor) -> Tensor:
        """Return class scores, float32 [B, classes]."""
        inputs = torch.addcmul(self.shift, batch, self.scale)
        with self._device.autocast():
            scores: Tensor = self.network(inputs)
        return scores.float()


def project(change: Tensor, norm: str, epsilon: float) -> Tensor:
    """Return the point nearest to `change` float [B, ...] in the ball of radius `epsilon` around 0, image by image."""
    if norm == "linf":
        return change.clamp(-epsilon, epsilon)
    length = _length(change)
    return change * torch.where(length > epsilon, epsilon / length.clamp_min(1e-30), 1.0)


def robust_accuracy(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    attacks: Sequence[Attack],
    generator: Randomness = None,
) -> list[float]:
    """Return the fraction of images, 0 to 1, that the network classifies correctly in spite of each attack.

    batches: (batch, labels) as an attack takes them; an attack of epsilon 0 gives the accuracy on the images
    themselves. See `withstood`. NaN without images.
    """
    right = torch.zeros(len(attacks), dtype=torch.int64)
    total = 0
    for batch, labels in batches:
        total += len(labels)
        right += withstood(network, batch, labels, attacks, generator=generator).sum(1).cpu()
    return [count / total if total else math.nan for count in right.tolist()]


@torch.no_grad()
def withstood(
    network: nn.Module,
    batch: Tensor,
    labels: Tensor,
    attacks: Sequence[Attack],
    *,
    generator: Randomness = None,
) -> Tensor:
    """Return which images the network classifies correctly in spite of each attack: bool [attacks, B], on their device.

    The attacks are of one norm. An image is right at an epsilon if neither it nor what the attack found within any
    smaller or equal epsilon is mistaken: the balls nest, so fewer images withstand a larger one.
    """
    right = torch.zeros((len(attacks), len(labels)), dtype=torch.bool, device=labels.device)
    with _as_constant(network):
        left = torch.nonzero(network(batch).argmax(1) == labels)[:, 0]
        for index in sorted(range(len(attacks)), key=lambda index: attacks[index].epsilon):
            if attacks[index].epsilon > 0 and len(left):
                attacked = attacks[index](network, batch[left], labels[left], _of_images(generator, left))
                left = left[network(attacked).argmax(1) == labels[left]]
            right[index, left] = True
    return right


@contextmanager
def _as_constant(network: nn.Module) -> Iterator[None]:
    """Keep the network in eval mode, with parameters that need no gradient, while the block runs."""
    modes = [(module, module.training) for module in network.modules()]
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        network.eval()
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter in learning:
            parameter.requires_grad_(True)


def _of_images(generator: Randomness, images: Tensor) -> Randomness:
    """Return the generators of some of a batch's images, int64 indices; one for the whole batch as it is."""
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    return [generator[image] for image in images.tolist()]


def _start(batch: Tensor, norm: str, epsilon: float, generator: Randomness) -> Tensor:
    """Return a random change, uniform in the ball: for l2 a random direction times epsilon * u^(1 / dimensions)."""
    count, channels, height, width = batch.shape
    shape = (height, width, channels)  # drawn channels_last, as images are: PyTorch is slow to fill other orders
    if norm == "linf":
        uniform = _draw(torch.rand, count, shape, generator, batch.device).permute(0, 3, 1, 2)
        return uniform.mul_(2 * epsilon).sub_(epsilon).to(batch)
    change = _draw(torch.randn, count, shape, generator, batch.device).permute(0, 3, 1, 2)
    u = _draw(torch.rand, count, (1, 1, 1), generator, batch.device)
    radius = epsilon * u ** (1 / max(change[:1].numel(), 1))
    return change.mul_(radius / _length(change).clamp_min(1e-30)).to(batch)


def _draw(
    draw: Callable[..., Tensor], count: int, shape: tuple[int, ...], generator: Randomness, device: torch.device
) -> Tensor:
    """Return float32 [count, *shape] from `draw`, on the generator's device; `device` where there is none."""
    if generator is None or isinstance(generator, torch.Generator):
        where = device if generator is None else generator.device
        return draw((count, *shape), generator=generator, device=where)
    return torch.stack([draw(shape, generator=own, device=own.device) for own in generator])


def _direction(gradient: Tensor, norm: str) -> Tensor:
    """Return the steepest ascent of length 1 in `norm`; 0 where the gradient is 0."""
    if norm == "linf":
        return gradient.sign()
    return gradient / _length(gradient).clamp_min(1e-30)


def _length(values: Tensor) -> Tensor:
    """Return the Euclidean length of each image: [B, 1, 1, 1]."""
    length: Tensor = torch.linalg.vector_norm(values, dim=(1, 2, 3), keepdim=True)
    return length
