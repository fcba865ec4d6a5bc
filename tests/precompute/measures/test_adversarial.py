"""Which images withstand attacks: `withstood` on the same images in the same batches, and against margins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.store.opening import open_store
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.attacks.descent import Normalised, withstood
from shapebias.precompute.measures import adversarial
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
    right = plain_run.store.read(f"models/{model}/adversarial/right")
    np.testing.assert_array_equal(right, expected)
    clean = plain_run.decided(model, plain_run.pixels) == plain_run.labels
    assert clean.sum() > expected[2].sum() > expected[0].sum(), "a larger ball, fewer images"
    assert not (expected & ~clean).any()
    accuracy = {
        accuracy.condition: accuracy.accuracy
        for accuracy in accuracies(plain_run.store)
        if (accuracy.model, accuracy.kind) == (model, "attack")
    }
    assert accuracy == {
        f"{norm} {epsilon:g}": row.mean() for (norm, epsilon), row in zip(ATTACKS, expected, strict=True)
    }


class Direction(nn.Module):
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
    right = withstood(Direction(direction), images, torch.ones(5, dtype=torch.long), attacks)
    assert right.dtype == torch.bool
    expected = [[margin > attack.epsilon for margin in margins.tolist()] for attack in attacks]
    assert right.tolist() == expected


def test_attacks_run_in_float32_where_float16_would_underflow(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precisions: list[str] = []
    withstand = adversarial.withstood

    def noting(network: Normalised, *arguments: Any, **options: Any) -> torch.Tensor:
        precisions.append(network._device.precision.name)
        return withstand(network, *arguments, **options)

    monkeypatch.setattr(adversarial, "withstood", noting)
    attacks = (Attack("l2", 0.5, 2, 0.3),)
    path = make_store(tmp_path / "a.zarr", precision="fp16", attacks=attacks, limit=10)
    assert set(precisions) == {"highest"}
    notes = open_store(path).attributes["notes"]
    assert any("attacked in float32: gradients underflow in float16" in note for note in notes)
