"""Passes every ATen call of a block of code to a function."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Run = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


class _Mode(TorchDispatchMode):
    def __init__(self, run: Run) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no annotations
        self._run = run

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell PyTorch that its compiler need not be kept away: that alone would import it, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._run(func, args, kwargs or {})


@contextmanager
def intercepting(run: Run) -> Iterator[None]:
    """Call `run(function, arguments, options)` in place of every ATen function on tensors during the block.

    The result of `run` is the result of the call. ATen calls inside `run` are not intercepted.
    """
    with _Mode(run):
        yield


@contextmanager
def part_by_part() -> Iterator[None]:
    """Let PyTorch's transformer layers run as their code says during the block, not as one fused function.

    Otherwise they would be fused or not depending on which modules have hooks.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
