"""How much memory the tensors of a computation take at once."""

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's
    """Adds up the new tensors that operations return, as long as they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's
        self.now: int = 0
        self.peak: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        known = {_address(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor) and _address(tensor) not in known:
                size = tensor.untyped_storage().nbytes()
                self.now += size
                weakref.finalize(tensor, self._free, size)
        self.peak = max(self.peak, self.now)
        return output

    def _free(self, size: int) -> None:
        self.now -= size


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def peak_bytes(action: Callable[[], Any]) -> int:
    """Return the most bytes that tensors made while `action` runs take at once; what a library's kernels use inside
    themselves is not seen."""
    tally = _Tally()
    with tally:
        action()
    return tally.peak
