"""Small maps at the size of images, and Gaussian blurs, as products with matrices: one for rows, one for columns.

A picture [..., h, w] becomes rows @ picture @ columns.T, so that many of them, each moved by its own number of pixels,
are two batched matrix products on whatever device.
"""

import torch
from torch import Tensor

from shapebias.core.attribution.method import patches_along


def bilinear(small: int, large: int) -> Tensor:
    """Return the matrix that enlarges `small` values bilinearly to `large` ones, float32 [large, small].

    Values are those of the middles of cells, and the outermost ones go on to the border.
    """
    centres = (torch.arange(large, dtype=torch.float64) + 0.5) * small / large - 0.5
    distances = (centres.clamp(0, small - 1)[:, None] - torch.arange(small, dtype=torch.float64)).abs()
    return (1 - distances).clamp_min(0).float()


def gaussian(sigma: float, size: int) -> Tensor:
    """Return the matrix that blurs `size` values by a Gaussian of `sigma` of them, float32 [size, size].

    At the border the weights of what is inside are divided by their sum, so that a constant stays what it is.
    """
    positions = torch.arange(size, dtype=torch.float64)
    weights = torch.exp(-((positions[:, None] - positions) ** 2) / (2 * sigma**2))
    return (weights / weights.sum(1, keepdim=True)).float()


def windows(matrix: Tensor, size: int) -> Tensor:
    """Return the matrices of `size` rows that begin at each row of a matrix, float32 [offsets, size, columns]."""
    return matrix.unfold(0, size, 1).transpose(1, 2)


def covering(size: int, patch: int, stride: int) -> Tensor:
    """Return which pixels of a side each patch covers, 0 or 1, float32 [size, patches]; see `patches_along`."""
    starts = torch.arange(patches_along(size, patch, stride)) * stride
    offsets = torch.arange(size)[:, None] - starts
    return ((offsets >= 0) & (offsets < patch)).float()


def enlarged(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return pictures [..., h, w] at the size that matrices [..., H, h] and [..., W, w] give them."""
    return rows @ picture @ columns.transpose(-1, -2)
