"""The peak of tensors' memory."""

import torch

from shapebias.precompute.ablation.memory import peak_bytes


def test_what_is_freed_is_not_counted() -> None:
    assert peak_bytes(lambda: torch.zeros(1000)) == 4000
    assert peak_bytes(lambda: ((torch.zeros(1000) + 1) + 1) + 1) == 8000
    assert peak_bytes(lambda: [torch.zeros(1000) for _ in range(5)]) == 20_000


def test_views_and_changes_in_place_take_nothing() -> None:
    tensor = torch.zeros(1000)
    assert peak_bytes(lambda: tensor.view(10, 100).add_(1)[2:]) == 0
