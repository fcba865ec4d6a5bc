"""The hot loops on the CPU, compiled by numba: each reads an activation map once, in the order it lies in memory.

Maps come as float32 [B, P, C]: channels_last, so that the innermost loop runs over units and vectorises. PyTorch's
own reductions need one read for each number (max, sum, squares, count), several times the cost of the whole kernel.
Every kernel works on a range [start, stop) of images or units; `in_threads` spreads the ranges over the cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import torch

_UNIT_BLOCK = 16  # units a thread takes at once: one cache line of float32


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
    """Call a kernel as `in_threads` does, over units, in blocks that share no cache line."""
    in_threads(kernel, units, *arguments, block=_UNIT_BLOCK)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def reduce_maps(
    maps: Any, shift: Any, row: int, maximum: Any, total: Any, squares: Any, nonpositive: Any, start: int, stop: int
) -> None:
    """For images [start, stop): the maximum, count of a <= 0, and sums of a and of (a - shift)^2; one read.

    maps float32 [B, P, C]; shift float32 [C]; maximum float32, total and squares float64, nonpositive int32, each
    [B, C], are filled. Sums run in float32 over `row` positions at a time and in float64 beyond, which keeps nearly
    float64's precision at float32's speed. The sum of a does not depend on shift, which is of the batch.
    """
    positions, units = maps.shape[1], maps.shape[2]
    part = np.empty(units, np.float32)
    part_squares = np.empty(units, np.float32)
    for image in range(start, stop):
        maximum[image, :] = -np.inf
        total[image, :] = 0.0
        squares[image, :] = 0.0
        nonpositive[image, :] = 0
        high, low_count = maximum[image], nonpositive[image]
        for first in range(0, positions, row):
            part[:] = 0.0
            part_squares[:] = 0.0
            for position in range(first, min(first + row, positions)):
                values = maps[image, position]
                for unit in range(units):
                    value = values[unit]
                    high[unit] = value if value > high[unit] else high[unit]
                    moved = value - shift[unit]
                    part[unit] += value
                    part_squares[unit] += moved * moved
                    low_count[unit] += np.int32(value <= np.float32(0.0))
            for unit in range(units):
                total[image, unit] += part[unit]
                squares[image, unit] += part_squares[unit]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def vary_maps(
    maps: Any,
    row: int,
    stride: Any,
    offset: Any,
    variation: Any,
    absolute: Any,
    apart: Any,
    start: int,
    stop: int,
) -> None:
    """For images [start, stop): the total variation and the sum of |a| of every map, and how far apart values at
    partnered positions are; one read.

    maps float32 [B, P, C], `row` positions wide; variation, absolute and apart float64 [B, C] are filled, apart with
    the sum of |a[p] - a[(offset + p * stride) modulo P]| over the pairings of the image: stride and
    offset int64 [B, pairings]. Sums run as in `reduce_maps`.
    """
    positions, units = maps.shape[1], maps.shape[2]
    part = np.empty(units, np.float32)
    part_absolute = np.empty(units, np.float32)
    part_apart = np.empty(units, np.float32)
    for image in range(start, stop):
        variation[image, :] = 0.0
        absolute[image, :] = 0.0
        apart[image, :] = 0.0
        for first in range(0, positions, row):
            part[:] = 0.0
            part_absolute[:] = 0.0
            part_apart[:] = 0.0
            for position in range(first, min(first + row, positions)):
                values = maps[image, position]
                for unit in range(units):
                    part_absolute[unit] += abs(values[unit])
                if position > first:
                    left = maps[image, position - 1]
                    for unit in range(units):
                        part[unit] += abs(values[unit] - left[unit])
                if first > 0:
                    above = maps[image, position - row]
                    for unit in range(units):
                        part[unit] += abs(values[unit] - above[unit])
                for pairing in range(stride.shape[1]):
                    partner = maps[image, (offset[image, pairing] + position * stride[image, pairing]) % positions]
                    for unit in range(units):
                        part_apart[unit] += abs(values[unit] - partner[unit])
            for unit in range(units):
                variation[image, unit] += part[unit]
                absolute[image, unit] += part_absolute[unit]
                apart[image, unit] += part_apart[unit]


@numba.njit(nogil=True, cache=True, inline="always")
def _precedes(
    value: Any, mean: Any, key: Any, other_value: Any, other_mean: Any, other_key: Any
) -> bool:  # the order of top lists
    if value != other_value:
        return bool(value > other_value)
    return bool(mean > other_mean or (mean == other_mean and key < other_key))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def insert_top(
    maps: Any,
    maximum: Any,
    average: Any,
    keys: Any,
    images: Any,
    value: Any,
    mean: Any,
    key: Any,
    image: Any,
    position: Any,
    slot: Any,
    kept: Any,
    start: int,
    stop: int,
) -> None:
    """For units [start, stop): inserts the batch's images into the sorted top lists.

    maps float32 [B, P, C]; maximum and average (the maps' means) float32 [B, C]; keys and images int64 [B]. The lists,
    [C, k]: value float32, mean float32, key int64, image int64, position int32 (of the maximum, raster order), slot
    int32: the row of kept (uint8 [C, k, P]) that holds the entry's map, scaled so that 255 is the entry's own value.
    The largest value comes first, of equal ones the largest mean, of those the smallest key. Maps are read only for
    entries that stay in the list.
    """
    size, k, positions = maps.shape[0], value.shape[1], maps.shape[1]
    for first in range(start, stop, _UNIT_BLOCK):
        last = min(first + _UNIT_BLOCK, stop)
        for unit in range(first, last):
            for row in range(size):
                new = maximum[row, unit]
                if new == -np.inf or new < value[unit, k - 1]:
                    continue
                new_mean, new_key = average[row, unit], keys[row]
                last_ = k - 1
                if not _precedes(new, new_mean, new_key, value[unit, last_], mean[unit, last_], key[unit, last_]):
                    continue
                rank = k - 1
                freed = slot[unit, k - 1]
                while rank > 0 and _precedes(
                    new, new_mean, new_key, value[unit, rank - 1], mean[unit, rank - 1], key[unit, rank - 1]
                ):
                    value[unit, rank] = value[unit, rank - 1]
                    mean[unit, rank] = mean[unit, rank - 1]
                    key[unit, rank] = key[unit, rank - 1]
                    image[unit, rank] = image[unit, rank - 1]
                    position[unit, rank] = position[unit, rank - 1]
                    slot[unit, rank] = slot[unit, rank - 1]
                    rank -= 1
                value[unit, rank], mean[unit, rank], key[unit, rank] = new, new_mean, new_key
                image[unit, rank] = images[row]
                position[unit, rank] = -1 - row  # its map is still to be read
                slot[unit, rank] = freed
        for row in range(size):  # row by row: the maps of neighbouring units lie in the same cache lines
            for unit in range(first, last):
                for rank in range(k):
                    new = value[unit, rank]
                    if position[unit, rank] != -1 - row or new == -np.inf:
                        continue
                    scale = 255.0 / np.float64(new) if new > 0 else 0.0
                    target = kept[unit, slot[unit, rank]]
                    where = -1
                    for place in range(positions):
                        activation = maps[row, place, unit]
                        target[place] = np.uint8(max(activation, np.float32(0.0)) * scale + 0.5)
                        if activation == new and where < 0:
                            where = place
                    position[unit, rank] = where


@numba.njit(nogil=True, cache=True, error_model="numpy")
def keep_above(
    maps: Any, sampled: Any, kept: Any, filled: Any, threshold: Any, first: int, start: int, stop: int
) -> int:
    """For units [start, stop), images [first, B): keeps the sampled values above the unit's threshold.

    maps float32 [B, P, C]; sampled int32 [B, m], positions, -1 = none; kept float32 [C, capacity], of which filled
    (int32 [C]) are in use; threshold float32 [C]. Returns the first image that may not fit any more, or B.
    """
    room = kept.shape[1] - sampled.shape[1]
    for row in range(first, sampled.shape[0]):
        for unit in range(start, stop):
            if filled[unit] > room:
                return row
        for index in range(sampled.shape[1]):
            if sampled[row, index] < 0:
                continue
            values = maps[row, sampled[row, index]]
            for unit in range(start, stop):
                if values[unit] > threshold[unit]:
                    kept[unit, filled[unit]] = values[unit]
                    filled[unit] += 1
    return len(sampled)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def count_concepts(
    maps: Any,
    width: int,
    threshold: Any,
    row_low: Any,
    row_weight: Any,
    column_low: Any,
    column_weight: Any,
    planes: Any,
    area: Any,
    shared: Any,
    start: int,
    stop: int,
) -> None:
    """For units [start, stop): the pixels where the upsampled map is above the threshold, and the labels there.

    maps float32 [B, P, C], `width` positions wide; threshold float32 [C]; row_low, column_low int64 and row_weight,
    column_weight float64: for every output row and column the map's row or column before it and the weight of the next;
    planes uint16 [B, planes, pixels]; area int64 [B, C] and shared int64 [C, labels] are added to.

    A value between others is above the threshold only where one of them is: all but few rows need not be made.
    """
    height = maps.shape[1] // width
    rows, columns = len(row_low), len(column_low)
    values = np.empty((height, width), np.float64)
    row_high = np.empty(height, np.float64)
    line = np.empty(width, np.float64)
    high = np.empty(stop - start, np.float32)
    for image in range(maps.shape[0]):
        high[:] = -np.inf
        for position in range(maps.shape[1]):
            seen = maps[image, position]
            for unit in range(start, stop):
                high[unit - start] = max(high[unit - start], seen[unit])
        for unit in range(start, stop):
            limit = np.float64(threshold[unit])
            if not high[unit - start] > limit:
                continue
            for y in range(height):
                row_high[y] = -np.inf
                for x in range(width):
                    value = np.float64(maps[image, y * width + x, unit])
                    values[y, x] = value
                    row_high[y] = max(row_high[y], value)
            above = 0
            for row in range(rows):
                low = row_low[row]
                next_ = min(low + 1, height - 1)
                if row_high[low] <= limit and row_high[next_] <= limit:
                    continue
                for x in range(width):
                    line[x] = values[low, x] + row_weight[row] * (values[next_, x] - values[low, x])
                for column in range(columns):
                    left = line[column_low[column]]
                    right = line[min(column_low[column] + 1, width - 1)]
                    if left + column_weight[column] * (right - left) > limit:
                        above += 1
                        for plane in range(planes.shape[1]):
                            shared[unit, planes[image, plane, row * columns + column]] += 1
            area[image, unit] += above
