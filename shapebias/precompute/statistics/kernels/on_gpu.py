"""The operators on a GPU: Triton's kernels, or PyTorch's operations where Triton cannot be used."""

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from shapebias.precompute.statistics.kernels.trial import find_fault

_TRITON = "shapebias.precompute.statistics.kernels.in_triton"


def on_gpu(by_torch: Callable[..., Any]) -> Callable[..., Any]:
    """Return an implementation that calls Triton's function with the name of `by_torch`.

    Where Triton cannot be used (see `fault`), which is found out at the first call, it calls `by_torch`.
    """

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
    """Return a text that says why Triton's implementations are not used on this GPU; None where they are.

    The first call compiles and tries them.
    """
    try:
        module = importlib.import_module(_TRITON)
    except ImportError:
        return "Triton is not installed"
    problem = find_fault(module, "cuda")
    return None if problem is None else f"Triton's kernels fail on this GPU: {problem}"
