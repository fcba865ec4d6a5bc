"""Projected gradient descent (Madry et al. 2018, arXiv 1706.06083): the attack, and the accuracy under it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.device import CPU, Device

# One generator for a batch, or one for each of its images; None for PyTorch's own.
Randomness = torch.Generator | Sequence[torch.Generator] | None


def attack_images(
    attack: Attack, network: nn.Module, batch: Tensor, labels: Tensor, generator: Randomness = None
) -> Tensor:
    """Return images near `batch` with a large cross entropy: steps of gradient ascent, each projected into the ball.

    network:    takes float images in [0, 1] (see `Normalised`) and returns scores [B, classes]; it is attacked in eval
                mode with frozen parameters, and left as it was
    batch:      float [B, 3, H, W] in [0, 1]
    labels:     int64 [B], the right outputs
    generator:  for the random start, on any device; one for the batch is fastest; with one for each image, an image's
                start is the same in any batch; None for PyTorch's own

    The result is float [B, 3, H, W] in [0, 1] and within `epsilon` of `batch`, without a gradient. A step is
    x + step_size * g / |g| (l2) or x + step_size * sign(g) (linf), where g is the gradient of the loss (Madry et al.
    2018).
    """
    batch = batch.detach()
    with _as_constant(network), torch.enable_grad():
        attacked = batch
        if attack.random_start:
            attacked = _project(attack, batch, _start(batch, attack.norm, attack.epsilon, generator))
        for _ in range(attack.steps):
            attacked = attacked.detach().requires_grad_()
            loss = F.cross_entropy(network(attacked), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, attacked)
            with torch.no_grad():
                moved = _direction(gradient, attack.norm).mul_(attack.step_size).add_(attacked).sub_(batch)
                attacked = _project(attack, batch, moved)
    return attacked.detach()


def _project(attack: Attack, batch: Tensor, change: Tensor) -> Tensor:
    """Return batch + change, limited to the attack's ball around the images and to [0, 1].

    Limiting values to [0, 1] moves them towards the image's own, so the result stays in the ball.
    """
    return project(change, attack.norm, attack.epsilon).add_(batch).clamp_(0, 1)


class Normalised(nn.Module):
    """A network as a function of float32 images [B, 3, H, W] in [0, 1]: (images - mean) / std, then the network.

    The network runs in the device's precision; the output is float32.
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
    """Return the point nearest to `change`, float [B, ...], in the ball of radius `epsilon` around 0, for each image.

    >>> project(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1), "l2", 1.0).flatten()
    tensor([0.6000, 0.8000])
    """
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
    """Return the fraction of images, 0 to 1, that the network classifies correctly in spite of each attack; NaN without
    images.

    batches:  yields (batch, labels) as `attack_images` takes them
    attacks:  of one norm; one with epsilon 0 gives the accuracy on the unchanged images

    See `withstood`, which says when an image counts.
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
    """Return which images the network classifies correctly in spite of each attack: bool [attacks, B].

    The arguments are those of `attack_images`; the result is on the device of the labels.

    All attacks must have the same norm. An image withstands an epsilon if the network is right for the image itself and
    for the results of all attacks with a smaller or equal epsilon. Since the balls are nested, a larger epsilon never
    counts more images.
    """
    right = torch.zeros((len(attacks), len(labels)), dtype=torch.bool, device=labels.device)
    with _as_constant(network):
        left = torch.nonzero(network(batch).argmax(1) == labels)[:, 0]
        for index in sorted(range(len(attacks)), key=lambda index: attacks[index].epsilon):
            if attacks[index].epsilon > 0 and len(left):
                of_left = _of_images(generator, left)
                attacked = attack_images(attacks[index], network, batch[left], labels[left], of_left)
                left = left[network(attacked).argmax(1) == labels[left]]
            right[index, left] = True
    return right


@contextmanager
def _as_constant(network: nn.Module) -> Iterator[None]:
    """Keep the network in eval mode, with frozen parameters, during the block."""
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
    """Return the generators of some of a batch's images, int64 indices; one for all, or None, is returned as it is."""
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    return [generator[image] for image in images.tolist()]


def _start(batch: Tensor, norm: str, epsilon: float, generator: Randomness) -> Tensor:
    """Return a random change, uniformly distributed in the ball of radius `epsilon`, with the shape of `batch`.

    For linf every value is uniform in [-epsilon, epsilon]. For l2 it is a random direction times
    epsilon * u^(1 / dimensions), where u is uniform in [0, 1).
    """
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
    """Return float32 [count, *shape] from `draw`, made on the generator's device, or on `device` without a
    generator.
    """
    if generator is None or isinstance(generator, torch.Generator):
        where = device if generator is None else generator.device
        return draw((count, *shape), generator=generator, device=where)
    return torch.stack(
        [draw(shape, generator=image_generator, device=image_generator.device) for image_generator in generator]
    )


def _direction(gradient: Tensor, norm: str) -> Tensor:
    """Return the steepest ascent of length 1 in `norm`; 0 where the gradient is 0."""
    if norm == "linf":
        return gradient.sign()
    return gradient / _length(gradient).clamp_min(1e-30)


def _length(values: Tensor) -> Tensor:
    """Return the Euclidean length of each image: [B, 1, 1, 1]."""
    length: Tensor = torch.linalg.vector_norm(values, dim=(1, 2, 3), keepdim=True)
    return length
