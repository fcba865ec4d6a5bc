"""The hot loops on the CPU, compiled by numba: each reads an activation map once, in memory order.

Maps are float32 [B, P, C], channels_last, so that vectors hold neighbouring units (see `lanes.py`). PyTorch's own
reductions would read the map once for each number (max, sum, squares, count), which takes several times as long as the
whole kernel. Every kernel works on a range [start, stop) of images or units; `on_cpu.py` spreads ranges over the cores.
"""

from typing import Any

import numba
import numpy as np

from shapebias.precompute.statistics.kernels.lanes import (
    LANES,
    accumulate,
    count_nonpositive,
    distance,
    larger,
    load,
    prefetch,
    store,
    zeros,
)

_TOGETHER = 16  # positions that are read block by block: they lie in few pages of memory


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _find_partners(partner: Any, pairs: Any, first: int, positions: int) -> None:
    """Fill partner int64 [row, n] with the partners of `row` positions from `first` on, (offset + p * stride) modulo P.

    pairs int32 [n, 2] has the (offset, stride) of an image's pairings; `positions` is P.
    """
    for pairing in range(len(pairs)):
        offset, stride = np.int64(pairs[pairing, 0]), np.int64(pairs[pairing, 1])
        position = (offset + first * stride) % positions
        for column in range(len(partner)):
            partner[column, pairing] = position
            position += stride
            position -= positions if position >= positions else 0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def reduce_maps(
    maps: Any, row: int, pairs: Any, maximum: Any, nonpositive: Any, sums: Any, start: int, stop: int
) -> None:
    """Reduce the maps of images [start, stop) in one read: maxima, counts and sums of every unit.

    maps float32 [B, P, C], at least 16 units, `row` positions wide; pairs int32 [B, n, 2]: see `Pairing`. The outputs
    have one column per unit, in as many blocks of 16 as hold C units: maximum float32 [B, .], initially -inf;
    nonpositive int32 [B, .], the count of a <= 0, initially 0; sums float64 [5, B, .], initially 0: of a, of (a - the
    value in the middle)^2, of the differences between neighbours (total variation), of |a|, and of |a[p] - a[q]| over
    the pairs (p, q). Sums are float32 along a row and float64 beyond, which has nearly float64's precision at float32's
    speed.
    """
    positions, units, pairings = maps.shape[1], maps.shape[2], pairs.shape[1]
    partner = np.empty((row, pairings), np.int64)
    ahead = np.empty((row, pairings), np.int64)  # prefetch the next row, since memory is slow
    for image in range(start, stop):
        values = maps[image]
        _find_partners(ahead, pairs[image], 0, positions)
        for first in range(0, positions, row):
            partner, ahead = ahead, partner
            _find_partners(ahead, pairs[image], first + row, positions)
            above = row if first > 0 else 0
            for block in range(0, units, LANES):
                unit = min(block, units - LANES)  # the last block may overlap the one before
                middle = load(values[positions // 2], unit)
                highest, low_count = load(maximum[image], block), load(nonpositive[image], block)
                total, squares, variation, absolute, apart = zeros(), zeros(), zeros(), zeros(), zeros()
                left = load(values[first], unit)
                for column in range(row):
                    value = load(values[first + column], unit)
                    prefetch(values[min(first + column + row, positions - 1)], unit)
                    for pairing in range(pairings):
                        prefetch(values[ahead[column, pairing]], unit)
                        apart = apart + distance(value, load(values[partner[column, pairing]], unit))
                    highest = larger(value, highest)
                    low_count = count_nonpositive(low_count, value)
                    total = total + value
                    moved = value - middle
                    squares = squares + moved * moved
                    upper = load(values[first + column - above], unit)
                    variation = variation + (distance(value, left) + distance(value, upper))
                    absolute = absolute + distance(value, zeros())
                    left = value
                store(maximum[image], block, highest)
                store(nonpositive[image], block, low_count)
                accumulate(sums[0, image], block, total)
                accumulate(sums[1, image], block, squares)
                accumulate(sums[2, image], block, variation)
                accumulate(sums[3, image], block, absolute)
                accumulate(sums[4, image], block, apart)
        for unit in range(units - units % LANES, units):  # move the last units from where the overlapping block is
            column = unit + maximum.shape[1] - units
            maximum[image, unit], nonpositive[image, unit] = maximum[image, column], nonpositive[image, column]
            sums[:, image, unit] = sums[:, image, column]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_largest(maps: Any, maximum: Any, odd: Any, start: int, stop: int) -> None:
    """Find every map's largest value, for images [start, stop), and whether all its values are finite.

    maps float32 [B, P, C], at least 16 units; maximum and odd float32 [B, C], where odd is NaN for a map with NaN or
    infinite values, else 0.
    """
    positions, units = maps.shape[1:]
    for image in range(start, stop):
        values = maps[image]
        maximum[image] = -np.inf
        odd[image] = 0
        for first in range(0, positions, _TOGETHER):
            for block in range(0, units, LANES):
                unit = min(block, units - LANES)  # the last block may overlap the one before
                highest, odds = load(maximum[image], unit), load(odd[image], unit)
                for position in range(first, min(first + _TOGETHER, positions)):
                    value = load(values[position], unit)
                    highest = larger(value, highest)
                    odds = odds + (value - value)
                store(maximum[image], unit, highest)
                store(odd[image], unit, odds)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def count_concepts(
    maps: Any,
    width: int,
    maximum: Any,
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
    """Count, for units [start, stop), the pixels whose upsampled map is above the threshold, and the labels there.

    maps float32 [B, P, C], `width` positions wide; maximum float32 [B, C], of the maps; threshold float32 [C]; row_low,
    column_low int64 and row_weight, column_weight float64: for every output row and column the map's row or column
    before it and the weight of the next; planes int32 [B, planes, pixels]. The counts are added to area int64 [B, C]
    and shared int64 [C, labels].

    An interpolated value is above the threshold only where one of its neighbours is, so most rows, and most columns of
    the other rows, need not be computed.
    """
    height = maps.shape[1] // width
    begin = np.zeros(width + 1, np.int64)  # the first output column at or behind each column of the map
    for low in column_low:
        begin[low + 1 :] += 1
    values = np.empty((LANES, height * width), np.float32)
    row_high = np.empty((height, LANES), np.float32)
    line = np.empty(width, np.float64)
    for first in range(start, stop, LANES):
        last = min(first + LANES, stop)
        for image in range(maps.shape[0]):
            if not (maximum[image, first:last] > threshold[first:last]).any():
                continue
            # A block of 16 units, the first of which may also be in the block before.
            block = min(first, maps.shape[2] - LANES)
            for y in range(height):
                highest = load(maps[image, y * width], block)
                for position in range(y * width, (y + 1) * width):
                    highest = larger(load(maps[image, position], block), highest)
                    for lane in range(LANES):
                        values[lane, position] = maps[image, position, block + lane]
                store(row_high[y], 0, highest)
            for unit in range(first, last):
                if not maximum[image, unit] > threshold[unit]:
                    continue
                limit, unit_values = np.float64(threshold[unit]), values[unit - block].reshape(height, width)
                above = 0
                for row in range(len(row_low)):
                    low, next_ = row_low[row], min(row_low[row] + 1, height - 1)
                    if row_high[low, unit - block] <= limit and row_high[next_, unit - block] <= limit:
                        continue
                    upper, lower = unit_values[low], unit_values[next_]
                    for x in range(width):
                        line[x] = upper[x] + row_weight[row] * (np.float64(lower[x]) - np.float64(upper[x]))
                    for x in range(width):
                        left, right = line[x], line[min(x + 1, width - 1)]
                        if left <= limit and right <= limit:
                            continue
                        for column in range(begin[x], begin[x + 1]):
                            if left + column_weight[column] * (right - left) > limit:
                                above += 1
                                for plane in range(planes.shape[1]):
                                    shared[unit, planes[image, plane, row * len(column_low) + column]] += 1
                area[image, unit] += above
