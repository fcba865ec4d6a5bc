"""The operators on a GPU: Triton's kernels, or PyTorch's operations where Triton cannot be used."""

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from shapebias.precompute.statistics.kernels.trial import find_fault

_TRITON = "shapebias.precompute.statistics.kernels.in_triton"


def on_gpu(by_torch: Callable[..., Any]) -> Callable[..., Any]:
    """Return an implementation that calls Triton's function of the same name, or else `by_torch`."""

    def run(*arguments: Any) -> Any:
        module = _in_triton()
        return (by_torch if module is None else getattr(module, by_torch.__name__))(*arguments)

    return run


@cache
def _in_triton() -> ModuleType | None:
    """Return the module of Triton's implementations; None where they cannot be used on this GPU: see `fault`."""
    return None if fault() is not None else importlib.import_module(_TRITON)


@cache
def fault() -> str | None:
    """Return a text that says why Triton's implementations are not used on this GPU; None where they are."""
    try:
        module = importlib.import_module(_TRITON)
    except ImportError:
        return "Triton is not installed"
    problem = find_fault(module, "cuda")
    return None if problem is None else f"Triton's kernels fail on this GPU: {problem}"
