"""Running out of memory: recognises the many forms of that error, and retries with smaller batches."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError

Images = TypeVar("Images", NDArray[np.uint8], torch.Tensor)
Result = TypeVar("Result")

# Error messages of PyTorch, CUDA, cuDNN and cuBLAS when memory is full; some are in a plain RuntimeError.
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "unable to find an engine to execute",
)


class OutOfMemoryError(ShapebiasError):
    """The device has too little memory for a computation."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, of whatever class, means that the CPU's or the GPU's memory is full."""
    if isinstance(error, MemoryError | OutOfMemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def memory_guarded(message: str) -> Iterator[None]:
    """Raise OutOfMemoryError with `message`, a line that says what to do, where the block runs out of memory."""
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(message) from error


def in_parts(action: Callable[[Images], Result], batch: Images) -> list[Result]:
    """Return the result of `action` for a batch of images, or, where memory is too small, for its halves, quarters and
    so on, in order.

    An action that fails must leave nothing behind. Raises OutOfMemoryError where memory is too small for a single
    image.
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
    """Give the memory that PyTorch caches back to the GPU, so that other tensors find room in one piece."""
    gc.collect()  # the failed tensors may be in a reference cycle
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
