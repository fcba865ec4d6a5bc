"""Enlarges small maps to the size of images, and blurs, by products with two matrices: one for rows, one for columns.

A picture [..., h, w] becomes rows @ picture @ columns.T, so that many pictures, each shifted by its own number of
pixels, take two batched matrix products on any device.
"""

import torch
from torch import Tensor

from shapebias.core.attribution.method import patches_along


def bilinear(small: int, large: int) -> Tensor:
    """Return the matrix that enlarges `small` values to `large` ones bilinearly, float32 [large, small].

    Values belong to the middles of cells; beyond the outermost middles they stay constant.
    """
    centres = (torch.arange(large, dtype=torch.float64) + 0.5) * small / large - 0.5
    distances = (centres.clamp(0, small - 1)[:, None] - torch.arange(small, dtype=torch.float64)).abs()
    return (1 - distances).clamp_min(0).float()


def gaussian(sigma: float, size: int) -> Tensor:
    """Return the matrix that blurs `size` values by a Gaussian with standard deviation `sigma`, float32 [size, size].

    At the border, the weights inside are divided by their sum, so that a constant stays constant.
    """
    positions = torch.arange(size, dtype=torch.float64)
    weights = torch.exp(-((positions[:, None] - positions) ** 2) / (2 * sigma**2))
    return (weights / weights.sum(1, keepdim=True)).float()


def windows(matrix: Tensor, size: int) -> Tensor:
    """Return all submatrices of `size` successive rows of a matrix, float32 [offsets, size, columns].

    The number at index i begins at row i. It is a view of the matrix.
    """
    return matrix.unfold(0, size, 1).transpose(1, 2)


def covering(size: int, patch: int, stride: int) -> Tensor:
    """Return which pixels of a side each patch covers, 0 or 1, float32 [size, patches]; see `patches_along`."""
    starts = torch.arange(patches_along(size, patch, stride)) * stride
    offsets = torch.arange(size)[:, None] - starts
    return ((offsets >= 0) & (offsets < patch)).float()


def enlarged(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return pictures [..., h, w] enlarged to [..., H, W] by the matrices rows [..., H, h] and columns [..., W, w]."""
    return rows @ picture @ columns.transpose(-1, -2)
