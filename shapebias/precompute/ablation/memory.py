"""The memory that ablation may use, and the memory that the tensors of a computation use at once."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from shapebias.precompute.device import Device
from shapebias.precompute.models.flow.dispatch import intercepting
from shapebias.precompute.models.flow.recording import tensors_in

_USUAL = 1_000_000_000  # bytes that may be used on the CPU
_SHARE = 0.5  # fraction of a GPU's free memory that may be used: kernels of libraries need memory too


def bytes_to_use(device: Device, megabytes: int | None) -> int:
    """Return how many bytes tensors may use: the user's number of megabytes; where that is None, 1 GB on the CPU and
    half of a GPU's free memory.
    """
    if megabytes is not None:
        return megabytes * 1_000_000
    if not device.is_cuda:
        return _USUAL
    free, _ = torch.cuda.mem_get_info(device.device)
    kept = torch.cuda.memory_reserved(device.device) - torch.cuda.memory_allocated(device.device)
    return int((free + kept) * _SHARE)


class _Tally:
    """Adds up the bytes of new tensors that operations return: `now` of those that exist, `peak` the most so far."""

    def __init__(self) -> None:
        self.now: int = 0
        self.peak: int = 0

    def run(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run an ATen function and count the tensors it returns."""
        output = func(*args, **options)
        addresses = {_address(tensor) for tensor in tensors_in([args, options])}
        for tensor in tensors_in(output):
            if _address(tensor) not in addresses:
                size = tensor.untyped_storage().nbytes()
                self.now += size
                weakref.finalize(tensor, self._count_freed, size)
        self.peak = max(self.peak, self.now)
        return output

    def _count_freed(self, size: int) -> None:
        self.now -= size


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def peak_bytes(action: Callable[[], Any]) -> int:
    """Return the most bytes that tensors made by `action` use at once, without the memory inside library kernels."""
    tally = _Tally()
    with intercepting(tally.run):
        action()
    return tally.peak
