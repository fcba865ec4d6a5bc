"""The statistics' hot loops as PyTorch operators: numba on the CPU; Triton, or PyTorch's operations, on a GPU."""
