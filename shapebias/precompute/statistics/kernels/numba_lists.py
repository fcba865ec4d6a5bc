"""Loops on the CPU, compiled by numba, that keep the largest values: top lists with their maps, and samples for
quantiles.

Maps have the format of `numba_kernels.py`.
"""

from typing import Any

import numba
import numpy as np

from shapebias.precompute.statistics.kernels.lanes import LANES, load, lowest_bit, prefetch, where_above

_TILE = 16  # sampled positions that are read for all units before the next ones, since neighbours in memory are fast


@numba.njit(nogil=True, cache=True, inline="always")
def _precedes(
    value: Any, mean: Any, key: Any, other_value: Any, other_mean: Any, other_key: Any
) -> bool:  # whether an entry comes before another in a top list
    if value != other_value:
        return bool(value > other_value)
    return bool(mean > other_mean or (mean == other_mean and key < other_key))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _count_ties(maximum: Any, value: Any, tied: Any, start: int, stop: int) -> None:
    """Update tied int64 [C], how many images have the unit's largest value, for a batch and units [start, stop).

    maximum float32 [B, C], of the batch's maps; value float32 [C, k], the top lists before the batch is inserted.
    """
    for unit in range(start, stop):
        largest = value[unit, 0]
        for row in range(len(maximum)):
            if maximum[row, unit] > largest:
                largest, tied[unit] = maximum[row, unit], 0
            tied[unit] += maximum[row, unit] == largest and largest > -np.inf


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
    tied: Any,
    start: int,
    stop: int,
) -> None:
    """Insert, for units [start, stop), the batch's images into the sorted top lists.

    maps float32 [B, P, C]; maximum and average (the maps' means) float32 [B, C]; keys and images int64 [B]. The lists
    are [C, k]: value float32, mean float32, key int64, image int64, position int32 (of the maximum, raster order), slot
    int32: the row of kept (uint8 [C, k, P]) that holds the entry's map, scaled so that 255 is the entry's own value.
    The largest value comes first, of equal ones the largest mean, and of equal means the smallest key. Maps are read
    only for entries that stay in the list. tied int64 [C]: how many images have the largest value.
    """
    size, k, positions = maps.shape[0], value.shape[1], maps.shape[1]
    for first in range(start, stop, LANES):
        last = min(first + LANES, stop)
        _count_ties(maximum, value, tied, first, last)
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
                position[unit, rank] = -1 - row  # its map has yet to be read
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
                    for index in range(positions):
                        activation = maps[row, index, unit]
                        target[index] = np.uint8(max(activation, np.float32(0.0)) * scale + 0.5)
                        if activation == new and where < 0:
                            where = index
                    position[unit, rank] = where


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _cut(kept: Any, filled: Any, threshold: Any, unit: int, count: int) -> None:
    """Reduce a unit's values to the `count` largest, or a few more, if over half of the room beyond `count` is used.

    kept float32 [capacity] holds the values, of which the first filled[unit] are in use. It, filled[unit] and
    threshold[unit] are changed. No dropped value is above the new threshold, and at least `count` of the kept values
    are not below it. The threshold is found by bisection in the order that the bits of floats have as whole numbers:
    each step is a fast loop without branches, and equal values do not slow it down.
    """
    size, room = filled[unit], len(kept) - count
    if size <= count + room // 2:
        return
    keys = kept.view(np.int32)
    for index in range(size):
        keys[index] ^= (keys[index] >> np.int32(31)) & np.int32(0x7FFFFFFF)
    low, high, above = np.int64(keys[:size].min()) - 1, np.int64(keys[:size].max()), size
    # `above` values, at least `count`, exceed `low`; fewer than `count` exceed `high`.
    while high - low > 1 and above > count + room // 4:
        limit, larger = np.int32((low + high) // 2), np.int32(0)
        for index in range(size):
            larger += np.int32(keys[index] > limit)
        if larger >= count:
            low, above = np.int64(limit), np.int64(larger)
        else:
            high = np.int64(limit)
    limit = np.int32(low if above <= count + room // 4 else high)
    stay = 0
    for index in range(size):
        value = keys[index]
        keys[stay] = value
        stay += value > limit
    if stay < count:  # what is missing are values equal to the limit
        keys[stay:count] = limit
        stay = count
    keys[stay] = limit
    for index in range(stay + 1):
        keys[index] ^= (keys[index] >> np.int32(31)) & np.int32(0x7FFFFFFF)
    threshold[unit], filled[unit] = kept[stay], stay


@numba.njit(nogil=True, cache=True, error_model="numpy")
def keep_above(
    maps: Any, sampled: Any, kept: Any, filled: Any, threshold: Any, count: int, start: int, stop: int
) -> None:
    """Keep, for units [start, stop), the sampled values above the unit's threshold, and cut lists that are full.

    maps float32 [B, P, C], at least 16 units; sampled int32 [B, m], positions, -1 = none; kept float32 [C, capacity],
    of which the first filled (int32 [C]) are in use; threshold float32 [C] and count: see `_cut`.
    """
    samples, room = sampled.shape[1], kept.shape[1] - sampled.shape[1]
    for image in range(len(sampled)):
        for unit in range(start, stop):
            if filled[unit] > room:
                _cut(kept[unit], filled, threshold, unit, count)
        for begin in range(0, samples, _TILE):
            end = min(begin + _TILE, samples)
            for block in range(start, stop, LANES):
                # A block of 16 units, the first of which may also be in the block before.
                first = min(block, maps.shape[2] - LANES)
                new_lanes = np.uint64((1 << LANES) - (1 << (block - first)))
                limits = load(threshold, first)
                for index in range(begin, end):
                    prefetch(maps[image, sampled[image, min(index + _TILE, samples - 1)]], first)
                    if sampled[image, index] < 0:
                        continue
                    values = maps[image, sampled[image, index]]
                    above: Any = where_above(load(values, first), limits) & new_lanes
                    while above:
                        unit = first + lowest_bit(above)
                        above &= above - np.uint64(1)
                        kept[unit, filled[unit]] = values[unit]
                        filled[unit] += 1
