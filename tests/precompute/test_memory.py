"""Errors of full memory, as PyTorch and NVIDIA's libraries word them."""

import numpy as np
import pytest
import torch

from shapebias.precompute.memory import OutOfMemoryError, in_parts, is_out_of_memory, memory_guarded

FULL = (
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype(float)),
)
OTHERS = (
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ValueError("out of memory"),
)


@pytest.mark.parametrize("error", FULL, ids=str)
def test_full_memory_is_known_by_all_its_names(error: Exception) -> None:
    assert is_out_of_memory(error)
    with pytest.raises(OutOfMemoryError, match="take less"), memory_guarded("take less"):
        raise error


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="this PyTorch has no such class")
def test_the_error_of_an_accelerator_is_known() -> None:
    class AcceleratorError(torch.AcceleratorError):
        """PyTorch raises its own only from C++."""

        def __init__(self, text: str) -> None:
            RuntimeError.__init__(self, text)

    assert is_out_of_memory(AcceleratorError("CUDA error: out of memory"))
    assert not is_out_of_memory(AcceleratorError("CUDA error: device-side assert triggered"))


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error), match=str(error)), memory_guarded("take less"):
        raise error


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8, 20])
def test_a_batch_is_taken_in_parts_that_fit(room: int) -> None:
    batch, tried = np.arange(11, dtype=np.uint8), []

    def action(part: np.ndarray) -> np.ndarray:
        tried.append(len(part))
        if len(part) > room:
            raise OutOfMemoryError("full")
        return part

    parts = in_parts(action, batch)
    np.testing.assert_array_equal(np.concatenate(parts), batch)
    assert max(map(len, parts)) <= room
    assert tried[0] == 11


def test_one_image_that_does_not_fit_is_told() -> None:
    def action(part: np.ndarray) -> None:
        raise OutOfMemoryError("full")

    with pytest.raises(OutOfMemoryError, match="full"):
        in_parts(action, np.zeros(5, np.uint8))
