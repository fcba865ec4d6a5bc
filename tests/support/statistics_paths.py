"""The ways to the statistics' numbers, all on tensors of the CPU: numba's, and those of a GPU by PyTorch or Triton."""

import pytest

from shapebias.precompute.statistics.kernels import in_torch, on_gpu, operators
from shapebias.precompute.statistics.maps import Maps

PATHS = ("cpu", "torch")
OPERATORS = (
    "reduce_maps",
    "add_moments",
    "add_variation",
    "add_class_means",
    "insert_top",
    "sample_maps",
    "count_concepts",
)


def take_path(patch: pytest.MonkeyPatch, path: str) -> None:
    """Compute statistics by a path from now on."""
    if path == "cpu":
        return
    patch.setattr(Maps, "on_cpu", property(lambda _: False))
    for name in OPERATORS:
        by_torch = getattr(in_torch, name)
        patch.setattr(operators, name, by_torch if path == "torch" else on_gpu.launch(name))
