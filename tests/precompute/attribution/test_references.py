"""RISE, Meaningful Perturbation and CAM against the formulas of their papers, written plainly."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from shapebias.core.attribution.choice import Choice
from tests.support.attribution import explained, pictures, subject_of

SIZE = 30
Pixels = np.ndarray


class MapsAndHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.maps = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 6, 3, 2), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        return 20 * self.head(self.maps(images).mean((2, 3)))


SUBJECT, IMAGES = subject_of(MapsAndHead().eval(), SIZE, most=13), pictures(2, SIZE)


def probability(image: Pixels, target: int) -> float:
    """The softmax probability of an output for one image [3, H, W] in [0, 1]."""
    with torch.no_grad():
        scores = SUBJECT.network(torch.from_numpy(image).float()[None])[0].double()
    return float(scores.softmax(0)[target])


def bilinear(values: Pixels, size: int) -> Pixels:
    """Enlarges a square of values, whose pixels are areas: what lies beyond the middle of the last is the last."""
    out, small = np.zeros((size, size)), len(values)
    for y in range(size):
        for x in range(size):
            v, u = (min(max((position + 0.5) * small / size - 0.5, 0), small - 1) for position in (y, x))
            top, left = min(math.floor(v), small - 2), min(math.floor(u), small - 2)
            dy, dx = v - top, u - left
            square = values[top : top + 2, left : left + 2]
            out[y, x] = (1 - dy) * ((1 - dx) * square[0, 0] + dx * square[0, 1]) + dy * (
                (1 - dx) * square[1, 0] + dx * square[1, 1]
            )
    return out


def rise(image: Pixels, target: int, seed: int, *, masks: int, grid: int, p: float, background: float) -> Pixels:
    """Petsiuk et al. 2018: (1 / (p N)) * sum of f(image * M) M; masks enlarged to (grid + 1) cells, then cut out."""
    generator = torch.Generator().manual_seed(seed)
    cells = (torch.rand((masks, grid, grid), generator=generator) < p).double().numpy()
    cell = math.ceil(SIZE / grid)
    down, right = (torch.randint(cell, (masks,), generator=generator).tolist() for _ in range(2))
    total = np.zeros((SIZE, SIZE))
    for own, y, x in zip(cells, down, right, strict=True):
        mask = bilinear(own, (grid + 1) * cell)[y : y + SIZE, x : x + SIZE]
        total += probability(image * mask + background * (1 - mask), target) * mask
    return total / (masks * p)


def test_rise() -> None:
    settings = {"masks": 20, "grid": 4, "p": 0.4}
    for word, background in (("black", 0.0), ("grey", 0.5)):
        maps = explained(SUBJECT, Choice.of("rise", baseline=word, **settings), IMAGES, seed=3).maps
        for number, image in enumerate(IMAGES.double().numpy()):
            wanted = rise(image, number, 3 + number, background=background, **settings)
            np.testing.assert_allclose(maps[number], wanted, rtol=1e-4)


def gaussian(image: Pixels, sigma: float) -> Pixels:
    """Blurs the last two axes; at the border by what is inside."""
    places = np.arange(image.shape[-1])
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    weights /= weights.sum(1, keepdims=True)
    return weights @ image @ weights.T


def moved(picture: Tensor, y: int, x: int) -> Tensor:
    """Moves a picture up and left; its last row and column are repeated."""
    rows, columns = (torch.arange(SIZE).add(by).clamp(max=SIZE - 1) for by in (y, x))
    return picture[..., rows, :][..., columns]


def meaningful_perturbation(image: Pixels, target: int, seed: int, *, steps: int, cells: int, jitter: int) -> Pixels:
    """Fong & Vedaldi 2017, section 4.3, with Adam (Kingma & Ba 2015) written out: 1 - m."""
    scale = SIZE / 224
    blurred = torch.from_numpy(gaussian(image, 10 * scale))
    clear = torch.from_numpy(image)
    basis = np.stack([bilinear(cell.reshape(cells, cells), SIZE) for cell in np.eye(cells * cells)])
    basis = torch.from_numpy(gaussian(basis, 5 * scale))

    def score(mask: Tensor, y: int, x: int) -> Tensor:
        smooth = torch.einsum("k,khw->hw", mask.flatten(), basis)
        mixed = moved(smooth * clear + (1 - smooth) * blurred, y, x)
        return SUBJECT.network(mixed[None].float())[0].softmax(0)[target]

    mask = first_disc(lambda tried: float(score(tried, 0, 0)), cells).requires_grad_()
    offsets = torch.randint(jitter, (steps, 2), generator=torch.Generator().manual_seed(seed)).tolist()
    mean = square = torch.zeros(cells, cells, dtype=torch.float64)
    for step, (y, x) in enumerate(offsets, 1):
        variation = sum((mask.diff(dim=axis).abs() ** 3).sum() for axis in (0, 1))
        loss = score(mask, y, x) + 1e-4 * (1 - mask).abs().sum() + 1e-2 * variation
        (slope,) = torch.autograd.grad(loss, mask)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        change = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        mask = (mask.detach() - 0.1 * change).clamp(0, 1).requires_grad_()
    return 1 - mask.detach().numpy()


def first_disc(score: Callable[[Tensor], float], cells: int) -> Tensor:
    """The smallest of 20 discs that takes away 99 % of what blurring everything does."""
    middle = (cells - 1) / 2
    distance = np.hypot(*np.meshgrid(*[(np.arange(cells) - middle) / middle] * 2))
    whole, nothing = (score(torch.full((cells, cells), value, dtype=torch.float64)) for value in (1.0, 0.0))
    for number in range(1, 21):
        disc = torch.from_numpy((distance > number / 20 * 2**0.5).astype(float))
        if whole - score(disc) >= 0.99 * (whole - nothing):
            break
    return disc


def test_meaningful_perturbation() -> None:
    choice = Choice.of("mp", steps=12, cells=7, jitter=15)  # 15 px of 224: 2 px
    maps = explained(SUBJECT, choice, IMAGES, seed=3).maps
    for number, image in enumerate(IMAGES.double().numpy()):
        wanted = meaningful_perturbation(image, number, 3 + number, steps=12, cells=7, jitter=2)
        assert 0 < wanted.mean() < 1
        np.testing.assert_allclose(maps[number], wanted, atol=2e-4)


def test_cam() -> None:
    """Zhou et al. 2016: sum over k of w[class, k] A[k]; its mean and the bias are the logit."""
    network, cam, grad_cam = (
        SUBJECT.network.network,
        *(explained(SUBJECT, name, IMAGES).maps for name in ("cam", "grad-cam")),
    )
    with torch.no_grad():
        activations = network.maps(IMAGES * SUBJECT.network.scale + SUBJECT.network.shift)
        scores = SUBJECT.network(IMAGES)
    for number in range(2):
        wanted = sum(
            20 * weight * one for weight, one in zip(network.head.weight[number], activations[number], strict=True)
        )
        torch.testing.assert_close(cam[number], wanted.detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(cam[number].mean() + 20 * network.head.bias[number], scores[number, number])
        positive = wanted.detach().clamp_min(0) / wanted.numel()
        torch.testing.assert_close(grad_cam[number], positive, rtol=1e-4, atol=1e-6)
