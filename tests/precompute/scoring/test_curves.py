"""Insertion and deletion against a loop over steps, and against what follows for a linear network."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, gaussian_filter
from torch import Tensor, nn

from shapebias.core.attribution.methods import METHODS
from shapebias.core.attribution.scores import areas
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.memory import OutOfMemoryError
from shapebias.precompute.scoring.curves import Curves, blur_kernel, blurred, cuts
from shapebias.precompute.scoring.ranking import Ranking, at_size, ranks
from tests.support.attribution import Linear, Plain, pictures, subject_of

SIZE, STEPS = 24, 10
TARGETS = torch.tensor([0, 2, 1])
SEEDS = [5, 6, 7]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 10 * 10, 4))


def random_maps(count: int = 3) -> Tensor:
    """Maps with ties, and one that is constant."""
    maps = torch.randn((count, SIZE, SIZE), generator=torch.Generator().manual_seed(1)).mul(4).round()
    maps[1] = 0
    return maps


def naive_curves(subject: Subject, images: Tensor, order: np.ndarray, target: int) -> tuple[list[float], list[float]]:
    """One image, one step after the other, one forward each, pixel by pixel."""
    clean, soft = images[0].clone(), blurred(images)[0]
    curves: tuple[list[float], list[float]] = ([], [])
    for curve, start, finish in ((curves[0], soft, clean), (curves[1], clean, torch.full_like(clean, 0.5))):
        for step in range(STEPS + 1):
            mixed = start.clone()
            for pixel in order[: round(step * SIZE * SIZE / STEPS + 1e-9)]:
                y, x = divmod(int(pixel), SIZE)
                mixed[:, y, x] = finish[:, y, x]
            with torch.no_grad():
                curve.append(float(subject.network(mixed[None]).softmax(1)[0, target]))
    return curves


@pytest.mark.parametrize("most", [64, 4, 1])
def test_curves_are_those_of_a_loop(most: int) -> None:
    subject = subject_of(small_network(), SIZE, most=most)
    images = pictures(3, SIZE)
    order = Ranking(SEEDS, SIZE * SIZE)(METHODS["rise"], random_maps())
    insertion, deletion = Curves(subject, images, TARGETS, STEPS)(ranks(order))
    for row in range(3):
        wanted = naive_curves(subject, images[row : row + 1], order[row].numpy(), int(TARGETS[row]))
        np.testing.assert_allclose(insertion[row], wanted[0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(deletion[row], wanted[1], rtol=1e-5, atol=1e-7)


def test_pixels_are_changed_in_equal_steps() -> None:
    assert cuts(50176, 112).tolist() == [448 * step for step in range(113)]
    assert cuts(10, 4).tolist() == [0, 3, 5, 8, 10]
    assert cuts(3, 112).tolist() == [0, 1, 2, 3]


def test_deletion_of_a_linear_network_in_closed_form() -> None:
    """The probability is a sum over pixels, so each deleted pixel takes its part, and the area is known."""
    weights = torch.rand((3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)) / (3 * SIZE * SIZE)

    def logits(inputs: Tensor) -> Tensor:
        share = torch.einsum("bchw,chw->b", inputs, weights)
        return torch.stack([share.log(), (1 - share).log()], 1)

    subject = subject_of(Plain(logits), SIZE)
    subject.network.scale.fill_(1.0)
    subject.network.shift.fill_(0.0)
    images = pictures(2, SIZE).clamp(0.1, 0.9)
    maps = (weights * (images - 0.5)).sum(1)  # what deleting each pixel takes
    order = Ranking([0, 1], SIZE * SIZE)(METHODS["input-x-gradient"], maps)
    curves = Curves(subject, images, torch.tensor([0, 0]), SIZE * SIZE)
    _, deletion = curves(ranks(order))
    for row in range(2):
        taken = np.sort(maps[row].double().numpy().ravel())[::-1]
        whole = float((weights.double() * images[row].double()).sum())
        wanted = whole - np.concatenate([[0], np.cumsum(taken)])
        np.testing.assert_allclose(deletion[row], wanted, rtol=1e-5)
        area = whole - (np.cumsum(taken) - taken / 2).sum() / taken.size
        assert areas(deletion[row].numpy(), curves.fractions)[0] == pytest.approx(area, rel=1e-5)


def test_the_order_by_the_largest_loss_deletes_best() -> None:
    subject = subject_of(Linear(SIZE), SIZE)
    images, targets = pictures(3, SIZE), TARGETS
    gradients = subject.gradients(images, targets)[1]
    best = (gradients * (images - 0.5)).sum(1)
    ranking = Ranking(SEEDS, SIZE * SIZE)
    curves = Curves(subject, images, targets, STEPS)
    scores = [
        areas(curves(ranks(ranking(METHODS["input-x-gradient"], maps)))[1].numpy(), curves.fractions)[0]
        for maps in (best, -best, random_maps())
    ]
    assert (scores[0] < scores[2]).all()
    assert (scores[2] < scores[1]).all()


def test_one_map_is_scored_alike_in_any_batch() -> None:
    subject, images, maps = subject_of(small_network(), SIZE), pictures(3, SIZE), random_maps()

    def curve(rows: list[int]) -> tuple[Tensor, Tensor]:
        order = Ranking([SEEDS[row] for row in rows], SIZE * SIZE)(METHODS["lime"], maps[rows])
        return Curves(subject, images[rows], TARGETS[rows], STEPS)(ranks(order))

    together, alone = curve([0, 1, 2]), curve([1])
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:2], one, rtol=1e-5, atol=1e-7)
        assert torch.equal(both[1, 1:-1], one[0, 1:-1])  # what runs together is of one image


def test_too_little_memory_halves_what_is_shown_at_once() -> None:
    network, batch_sizes = small_network(), []

    def greedy(inputs: Tensor) -> Tensor:
        batch_sizes.append(len(inputs))
        if len(inputs) > 3:
            raise OutOfMemoryError("full")
        return network(inputs)

    images, maps = pictures(3, SIZE), random_maps()
    order = ranks(Ranking(SEEDS, SIZE * SIZE)(METHODS["lime"], maps))
    limited = subject_of(Plain(greedy), SIZE, most=8)
    curves = Curves(limited, images, TARGETS, STEPS)(order)
    for own, wanted in zip(curves, Curves(subject_of(network, SIZE), images, TARGETS, STEPS)(order), strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-5, atol=1e-7)
    assert limited.notes
    assert max(batch_sizes[-6:]) <= 3


def test_the_blur_is_that_of_the_authors_code() -> None:
    middle = np.zeros((11, 11))
    middle[5, 5] = 1
    kernel = gaussian_filter(middle, 5.0)
    own = blur_kernel(11, 5.0).numpy()
    np.testing.assert_allclose(np.outer(own, own), kernel, rtol=1e-5)
    images = pictures(1, 224)
    wanted = convolve(images[0, 1].numpy().astype(np.float64), kernel, mode="mirror")
    np.testing.assert_allclose(blurred(images)[0, 1], wanted, atol=1e-5)
    assert blurred(pictures(1, 16)).shape == (1, 3, 16, 16)  # smaller images by a smaller window


def test_ties_are_broken_by_the_images_seed() -> None:
    maps = random_maps()
    order = Ranking(SEEDS, SIZE * SIZE)(METHODS["rise"], maps)
    for row, seed in enumerate(SEEDS):
        drawn = np.empty(SIZE * SIZE, np.int64)
        drawn[torch.randperm(SIZE * SIZE, generator=torch.Generator().manual_seed(seed)).numpy()] = np.arange(SIZE**2)
        wanted = np.lexsort((drawn, -maps[row].numpy().ravel()))
        assert order[row].tolist() == wanted.tolist()
        assert ranks(order)[row][order[row]].tolist() == list(range(SIZE * SIZE))
    assert order[1].tolist() != list(range(SIZE * SIZE))  # a constant map is no order by place
    other = Ranking([9], SIZE * SIZE)(METHODS["rise"], maps[1:2])
    assert other[0].tolist() != order[1].tolist()


def test_sensitivities_are_ranked_by_size() -> None:
    maps = torch.tensor([[[-3.0, 1.0], [2.0, 0.0]]])
    ranking = Ranking([0], 4)
    assert ranking(METHODS["gradient"], maps).tolist() == [[0, 2, 1, 3]]
    assert ranking(METHODS["integrated-gradients"], maps).tolist() == [[2, 1, 3, 0]]


def test_maps_are_enlarged_as_pytorch_does() -> None:
    maps = torch.randn((2, 7, 5), generator=torch.Generator().manual_seed(0))
    wanted = nn.functional.interpolate(maps[:, None], (33, 21), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(at_size(maps, 33, 21), wanted, rtol=1e-5, atol=1e-6)
    assert at_size(maps, 7, 5) is maps
