"""The operators on a GPU, by Triton's kernels; by PyTorch's operations where Triton cannot be used."""

from collections.abc import Callable
from typing import Any


def on_gpu(by_torch: Callable[..., Any]) -> Callable[..., Any]:
    """Return what does the same as `by_torch`, by Triton where it can be used."""
    return by_torch
