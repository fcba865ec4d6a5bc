"""The ways to the statistics' numbers, on tensors of the CPU: numba's, and PyTorch's, as on a GPU without Triton."""

import pytest

from shapebias.precompute.statistics.kernels import in_torch, operators
from shapebias.precompute.statistics.maps import Maps

PATHS = ("cpu", "torch")
_OPERATORS = (
    "reduce_maps",
    "add_moments",
    "add_variation",
    "add_class_means",
    "insert_top",
    "sample_maps",
    "count_concepts",
)


def take_path(patch: pytest.MonkeyPatch, path: str) -> None:
    """Compute statistics by a path, one of PATHS, until `patch` is undone."""
    if path == "torch":
        patch.setattr(Maps, "on_cpu", property(lambda _: False))
        for name in _OPERATORS:
            patch.setattr(operators, name, getattr(in_torch, name))
