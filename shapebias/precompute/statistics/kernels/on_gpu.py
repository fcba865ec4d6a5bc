"""The operators on a GPU: by Triton's kernels, or by PyTorch's operations where Triton cannot be used."""

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import torch


def on_gpu(by_torch: Callable[..., Any]) -> Callable[..., Any]:
    """Return an implementation that is Triton's of the same name, or else `by_torch`."""

    def run(*arguments: Any) -> Any:
        module = _in_triton()
        return (by_torch if module is None else getattr(module, by_torch.__name__))(*arguments)

    return run


@cache
def _in_triton() -> ModuleType | None:
    """Return the module of Triton's implementations; None where it is missing, or does not compile for this GPU."""
    try:
        from shapebias.precompute.statistics.kernels import in_triton

        sums, finite = (
            torch.zeros((5, 1, 1), dtype=torch.float64, device="cuda"),
            torch.ones(1, 1, device="cuda").bool(),
        )
        in_triton.add_variation(list(sums.new_zeros((4, 1))), sums, finite, 1.0)
    except Exception:
        return None
    return in_triton
