"""The trial of kernels passes what is right, and finds what is wrong."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from shapebias.precompute.statistics.kernels import in_torch, on_cpu
from shapebias.precompute.statistics.kernels.trial import find_fault

OPERATORS = (
    *("reduce_maps", "add_moments", "add_variation", "add_class_means"),
    *("insert_top", "sample_maps", "count_concepts"),
)


def implementation(**changed: Any) -> Any:
    """All operators by PyTorch, but for those that are given."""
    return SimpleNamespace(**{name: getattr(in_torch, name) for name in OPERATORS} | changed)


def test_right_implementations_pass() -> None:
    numba = {name: getattr(on_cpu, name) for name in OPERATORS if hasattr(on_cpu, name)}
    assert find_fault(implementation(**numba), "cpu") is None
    in_triton = pytest.importorskip("shapebias.precompute.statistics.kernels.in_triton", exc_type=ImportError)
    assert find_fault(in_triton, "cpu") is None  # interpreted: see conftest.py


@pytest.mark.parametrize("name", OPERATORS)
def test_what_does_nothing_or_fails_is_found(name: str) -> None:
    def nothing(*arguments: Any) -> Any:
        return getattr(in_torch, name)(*(_copied(argument) for argument in arguments[:-1]), arguments[-1] * 0)

    def failing(*_: Any) -> Any:
        raise RuntimeError("no such instruction")

    assert find_fault(implementation(**{name: nothing}), "cpu") is not None
    assert find_fault(implementation(**{name: failing}), "cpu") == "RuntimeError in a trial"


def _copied(argument: Any) -> Any:
    """Return a copy, so that nothing is changed in place."""
    if isinstance(argument, list):
        return [tensor.clone() for tensor in argument]
    return argument.clone() if isinstance(argument, torch.Tensor) else argument


@pytest.mark.parametrize("part", range(3))
def test_small_errors_are_found(part: int) -> None:
    def slightly(maps: torch.Tensor, pairs: torch.Tensor) -> Any:
        results = list(in_torch.reduce_maps(maps, pairs))
        results[part] = results[part].clone()
        results[part].flatten()[-1] += 1
        return tuple(results)

    assert find_fault(implementation(reduce_maps=slightly), "cpu") is not None
