"""Which images withstand attacks: `withstood` on the same images in the same batches, and against margins."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.errors import UsageError
from shapebias.precompute.attack import Attack, Normalised, withstood
from shapebias.precompute.measures.adversarial import parse_attack
from tests.support.plain_run import MEAN, STD, PlainRun

ATTACKS = [("l2", 0.2), ("linf", 0.002), ("l2", 0.05)]
BATCH = 16


def test_the_store_says_which_images_withstand(plain_run: PlainRun) -> None:
    model = "Other"
    network = Normalised(plain_run.networks[model], MEAN, STD)
    expected = np.zeros((3, 40), bool)
    for first in range(0, 40, BATCH):
        part = slice(first, first + BATCH)
        images = torch.from_numpy(plain_run.pixels[part]).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(plain_run.labels[part])
        random = [torch.Generator().manual_seed(first + image) for image in range(len(labels))]
        for rows in ([0, 2], [1]):  # by norm
            attacks = [Attack(*ATTACKS[row], 20, 2.5 * ATTACKS[row][1] / 20) for row in rows]
            expected[rows, part] = withstood(network, images, labels, attacks, generator=random).numpy()
    found = plain_run.store.read(f"models/{model}/adversarial/right")
    np.testing.assert_array_equal(found, expected)
    clean = plain_run.decided(model, plain_run.pixels) == plain_run.labels
    assert clean.sum() > expected[2].sum() > expected[0].sum(), "a larger ball, fewer images"
    assert not (expected & ~clean).any()
    accuracy = {
        each.condition: each.accuracy
        for each in accuracies(plain_run.store)
        if (each.model, each.kind) == (model, "attack")
    }
    assert accuracy == {
        f"{norm} {epsilon:g}": row.mean() for (norm, epsilon), row in zip(ATTACKS, expected, strict=True)
    }


class Linear(nn.Module):
    """Two classes, told apart by a direction."""

    def __init__(self, direction: Tensor) -> None:
        super().__init__()
        self.direction = direction

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.direction).sum((1, 2, 3))
        return torch.stack([-score, score], 1)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_image_withstands_what_does_not_reach_its_margin(norm: str) -> None:
    """The distance to a linear boundary is |score| / |w|, in the dual norm: |w|_2 for l2, |w|_1 for linf."""
    direction = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(2))
    dual = direction.norm() if norm == "l2" else direction.abs().sum()
    centre = torch.full((3, 6, 6), 0.5)
    centre -= direction * (centre * direction).sum() / direction.square().sum()
    margins = torch.tensor([-0.01, 0.008, 0.012, 0.028, 0.032])
    images = centre + direction * (margins * dual / direction.square().sum())[:, None, None, None]
    attacks = [Attack(norm, epsilon, 30, epsilon / 6) for epsilon in (0.03, 0.01, 0.0, 0.02)]
    found = withstood(Linear(direction), images, torch.ones(5, dtype=torch.long), attacks)
    assert found.dtype == torch.bool
    expected = [[margin > attack.epsilon for margin in margins.tolist()] for attack in attacks]
    assert found.tolist() == expected


@pytest.mark.parametrize(("text", "norm", "epsilon"), [("l2:3", "l2", 3), ("linf:0.016", "linf", 0.016)])
def test_attacks_are_parsed(text: str, norm: str, epsilon: float) -> None:
    assert parse_attack(text) == Attack(norm, epsilon, 20, 2.5 * epsilon / 20)


@pytest.mark.parametrize("text", ["", "l2", "l2:", "l3:1", "l2:0", "l2:-1", "l2:nan", "linf:inf", "l2:1:2", "\x1b:1"])
def test_attacks_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="NORM:EPSILON"):
        parse_attack(text)
