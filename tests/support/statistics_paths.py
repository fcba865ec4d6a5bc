"""The ways to the statistics' numbers, all on tensors of the CPU: numba's, and those of a GPU by PyTorch or Triton."""

import pytest

from shapebias.precompute.statistics.kernels import in_torch, in_triton, operators
from shapebias.precompute.statistics.maps import Maps

PATHS = ("cpu", "torch", "triton")
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
        patch.setattr(operators, name, getattr({"torch": in_torch, "triton": in_triton}[path], name))
