"""Too little memory on a device: how that is recognised, in all its disguises, and how it is told."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError

Pixels = NDArray[np.uint8]
Result = TypeVar("Result")

# What PyTorch, CUDA, cuDNN and cuBLAS say where memory is full: some of it as a plain RuntimeError.
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "unable to find an engine to execute",
)


class OutOfMemoryError(ShapebiasError):
    """The device has too little memory for what was asked of it at once."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, of whatever class, says that the CPU's or the GPU's memory is full."""
    if isinstance(error, MemoryError | OutOfMemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def memory_guarded(message: str) -> Iterator[None]:
    """Raise OutOfMemoryError with `message`, one line that says what to do, where the block runs out of memory."""
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(message) from error


def in_parts(action: Callable[[Pixels], Result], batch: Pixels) -> list[Result]:
    """Return what `action` gives for a batch of images or, where memory does not suffice, for its halves, their halves
    and so on, in order.

    An action that fails must leave nothing behind. Raises OutOfMemoryError where it fails for a single image.
    """
    try:
        return [action(batch)]
    except OutOfMemoryError:
        if len(batch) == 1:
            raise
    release()
    half = len(batch) // 2
    return in_parts(action, batch[:half]) + in_parts(action, batch[half:])


def release() -> None:
    """Give memory that PyTorch keeps for later back to the GPU, so that smaller tensors find room in one piece."""
    gc.collect()  # what failed may be in a circle of references
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
