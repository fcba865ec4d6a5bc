# mypy: disable-error-code="no-untyped-call"
"""The operators implemented with Triton's kernels: launches and block sizes."""

import torch
import triton
from torch import Tensor

from shapebias.precompute.statistics.kernels import triton_lists, triton_maps, triton_sums

_POSITIONS, _UNITS = 32, 64  # largest numbers of positions and of units in a block
_OWNED = 128  # units of a program that adds to totals: one per thread, so that no thread reads another's result
_PIXELS = 256  # pixels in a block


def reduce_maps(maps: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reduce maps: see `operators.reduce_maps`."""
    maps = _evenly_spaced(maps)
    images, units, height, width = maps.shape
    maximum = maps.new_empty((images, units), dtype=torch.float32)
    nonpositive = maps.new_empty((images, units), dtype=torch.int32)
    sums = maps.new_empty((5, images, units), dtype=torch.float64)
    finite = maps.new_empty((images, units), dtype=torch.uint8)
    block = _block(units, _UNITS)
    with torch.cuda.device_of(maps):
        triton_maps.reduce_maps[images, triton.cdiv(units, block)](
            *(maps, pairs, maximum, nonpositive, sums, finite),
            *(images, units, height, width, pairs.shape[1], *_strides(maps)),
            position_block=_block(height * width, _POSITIONS),
            unit_block=block,
        )
    return maximum, nonpositive, sums, finite.view(torch.bool)


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
    images, units = maximum.shape
    with torch.cuda.device_of(sums):
        triton_sums.add_moments[(triton.cdiv(units, _OWNED),)](
            *(*totals, highest, maximum, nonpositive, sums, finite.view(torch.uint8)),
            *(images, units, positions),
            unit_block=_OWNED,
        )


def add_variation(totals: list[Tensor], sums: Tensor, finite: Tensor, share: float) -> None:
    """Add variations to totals: see `operators.add_variation`."""
    images, units = finite.shape
    with torch.cuda.device_of(sums):
        triton_sums.add_variation[(triton.cdiv(units, _OWNED),)](
            *totals, sums, finite.view(torch.uint8), images, units, share, unit_block=_OWNED
        )


def add_class_means(total: Tensor, left_out: Tensor, activation: Tensor, finite: Tensor, labels: Tensor) -> None:
    """Add activations to class sums: see `operators.add_class_means`."""
    images, units = activation.shape
    with torch.cuda.device_of(total):
        triton_sums.add_class_means[images, triton.cdiv(units, _OWNED)](
            *(total, left_out, activation, finite.view(torch.uint8), labels), *(images, units), unit_block=_OWNED
        )


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
    maps = _evenly_spaced(maps)
    units, k = lists[0].shape
    new = [torch.empty_like(entries) for entries in (*lists, tied)]
    source, number, freed = (torch.empty_like(lists[-1]) for _ in range(3))
    with torch.cuda.device_of(maps):
        triton_lists.insert_top[(units,)](
            *(*lists, tied, maximum, average, keys, images, *new, source, number, freed),
            *(len(maps), units, k),
            entry_block=triton.next_power_of_2(k + len(maps)),
        )
        value, _, _, _, position, slot, new_tied = new
        triton_lists.keep_maps[(units * k,)](
            *(maps, value, source, number, freed, position, slot, kept),
            *(k, kept.shape[2], *_strides(maps)),
            position_block=_block(kept.shape[2], 1024),
        )
    tied.copy_(new_tied)
    return new[:-1]


def sample_maps(
    kept: Tensor, left_out: Tensor, maps: Tensor, finite: Tensor, sampled: Tensor, first_column: int
) -> None:
    """Sample values of maps: see `operators.sample_maps`."""
    maps = _evenly_spaced(maps)
    images, units = finite.shape
    block = _block(units, _UNITS)
    with torch.cuda.device_of(maps):
        triton_maps.sample_maps[images, triton.cdiv(units, block)](
            *(kept, left_out, maps, finite.view(torch.uint8), sampled),
            *(units, sampled.shape[1], first_column, kept.shape[1], *_strides(maps), sampled.stride(0)),
            position_block=_block(sampled.shape[1], _POSITIONS),
            unit_block=block,
        )


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
    maps = _evenly_spaced(maps)
    images, units, height, width = maps.shape
    rows, columns = len(upsampling[0]), len(upsampling[2])
    with torch.cuda.device_of(maps):
        triton_maps.count_concepts[images, units](
            *(area, shared, maps, maximum, threshold, *upsampling, planes),
            *(units, height, width, rows, columns, planes.shape[1], shared.shape[1], *_strides(maps)),
            pixel_block=_PIXELS,
            enable_fp_fusion=False,  # values and counts equal those of the CPU bit for bit
        )


def _evenly_spaced(maps: Tensor) -> Tensor:
    """Return maps whose positions lie at even distances in memory; only views of larger maps are copied."""
    even = maps.stride(2) == maps.shape[3] * maps.stride(3) or maps.shape[2] == 1
    return maps if even else maps.contiguous(memory_format=torch.channels_last)


def _strides(maps: Tensor) -> tuple[int, int, int]:
    """Return the strides of images, units and positions."""
    return maps.stride(0), maps.stride(1), maps.stride(3) if maps.shape[3] > 1 else maps.stride(2)


def _block(size: int, most: int) -> int:
    return min(most, int(triton.next_power_of_2(size)))
