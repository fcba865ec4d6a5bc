"""The operators on the CPU: numba's kernels, on as many threads as PyTorch uses."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.statistics.kernels import numba_kernels, numba_lists, numba_sums
from shapebias.precompute.statistics.kernels.lanes import LANES


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, torch.get_num_threads() - 1), thread_name_prefix="statistics")


def in_threads(kernel: Callable[..., Any], count: int, *arguments: Any, block: int = 1) -> None:
    """Call kernel(*arguments, start, stop) for ranges that cover range(count), on as many threads as PyTorch uses."""
    blocks = -(-count // block)
    parts = min(torch.get_num_threads(), blocks)
    bounds = [min(count, blocks * part // parts * block) for part in range(parts + 1)]
    futures = [_pool().submit(kernel, *arguments, bounds[part], bounds[part + 1]) for part in range(1, parts)]
    kernel(*arguments, bounds[0], bounds[1])
    for future in futures:
        future.result()


def over_units(kernel: Callable[..., Any], units: int, *arguments: Any) -> None:
    """Call a kernel over units as `in_threads` does, in blocks that share no cache line."""
    in_threads(kernel, units, *arguments, block=LANES)


def as_rows(maps: Tensor) -> NDArray[np.float32]:
    """Return maps [B, C, h, w] in the format of numba's kernels, float32 [B, P, C]; a view where they are
    channels_last.

    Where there are fewer than 16 units, units of 0 are added.
    """
    maps = maps.float().contiguous(memory_format=torch.channels_last)
    rows: NDArray[np.float32] = maps.permute(0, 2, 3, 1).flatten(1, 2).numpy()
    missing = LANES - rows.shape[2]
    return np.pad(rows, ((0, 0), (0, 0), (0, missing))) if missing > 0 else rows


def reduce_maps(maps: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reduce maps: see `operators.reduce_maps`."""
    images, units, height, width = maps.shape
    rows, positions = as_rows(maps), height * width
    shape = (images, -(-units // LANES) * LANES)
    maximum = np.full(shape, -np.inf, np.float32)
    nonpositive = np.zeros(shape, np.int32)
    sums = np.zeros((5, *shape))
    in_threads(numba_kernels.reduce_maps, images, rows, width, pairs.numpy(), maximum, nonpositive, sums)
    maximum, nonpositive, sums = maximum[:, :units], nonpositive[:, :units], sums[:, :, :units]
    with np.errstate(over="ignore", invalid="ignore"):  # some values are NaN or infinite, as `finite` says
        middle = rows[:, positions // 2, :units].astype(np.float64)
        sums[1] -= positions * np.square(sums[0] / positions - middle)
    finite = np.isfinite(sums[0])
    if not finite.all():  # all values are finite, only their sum is too large for float32
        finite = np.isfinite(rows[:, :, :units]).all(1)
        maximum = np.where(finite, maximum, -np.inf).astype(np.float32)
        nonpositive, sums = np.where(finite, nonpositive, 0), np.where(finite, sums, 0)
    np.maximum(sums[1], 0, out=sums[1])
    parts = [torch.from_numpy(np.ascontiguousarray(part)) for part in (maximum, nonpositive, sums, finite)]
    return parts[0], parts[1], parts[2], parts[3]


def find_largest(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest value of every map, float32 [B, C], and whether all of its values are numbers, bool [B, C].

    What the largest of other maps is, nobody knows. PyTorch's own `amax` takes ten times as long for large maps.
    """
    rows, units = as_rows(maps), maps.shape[1]
    maximum, odd = np.empty((2, len(rows), rows.shape[2]), np.float32)
    in_threads(numba_kernels.find_largest, len(rows), rows, maximum, odd)
    return torch.from_numpy(maximum[:, :units]), torch.from_numpy(odd[:, :units] == 0)


def add_moments(
    totals: list[Tensor],
    highest: Tensor,
    maximum: Tensor,
    nonpositive: Tensor,
    sums: Tensor,
    finite: Tensor,
    positions: int,
) -> None:
    """Add moments to totals: see `operators.add_moments`."""
    arrays = _arrays((*totals, highest, maximum, nonpositive, sums, finite))
    numba_sums.add_moments(positions, *arrays)


def add_variation(totals: list[Tensor], sums: Tensor, finite: Tensor, share: float) -> None:
    """Add variations to totals: see `operators.add_variation`."""
    numba_sums.add_variation(share, *_arrays((*totals, sums, finite)))


def add_class_means(total: Tensor, left_out: Tensor, activation: Tensor, finite: Tensor, labels: Tensor) -> None:
    """Add activations to class sums: see `operators.add_class_means`."""
    numba_sums.add_class_means(*_arrays((total, left_out, activation, finite, labels)))


def insert_top(
    lists: list[Tensor],
    kept: Tensor,
    tied: Tensor,
    maps: Tensor,
    maximum: Tensor,
    average: Tensor,
    keys: Tensor,
    images: Tensor,
) -> list[Tensor]:
    """Insert images into top lists: see `operators.insert_top`."""
    new = [entries.clone() for entries in lists]
    arrays = _arrays((maximum, average, keys, images, *new, kept, tied))
    over_units(numba_lists.insert_top, maps.shape[1], as_rows(maps), *arrays)
    return new


def count_concepts(
    area: Tensor,
    shared: Tensor,
    maps: Tensor,
    maximum: Tensor,
    threshold: Tensor,
    upsampling: list[Tensor],
    planes: Tensor,
) -> None:
    """Count the pixels of concepts: see `operators.count_concepts`."""
    units, width = maps.shape[1], maps.shape[3]
    arrays = _arrays((maximum, threshold, *upsampling, planes, area, shared))
    over_units(numba_kernels.count_concepts, units, as_rows(maps), width, *arrays)


def _arrays(tensors: Iterable[Tensor]) -> list[NDArray[Any]]:
    return [tensor.numpy() for tensor in tensors]
