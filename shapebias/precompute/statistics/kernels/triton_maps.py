# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Triton's kernels that read maps; `in_triton.py` launches them.

A program owns the images or units that it writes, and goes through the others in order, so sums do not depend on
scheduling. Only counts, which are whole numbers, are changed by several programs. Offsets are int64, since a batch of
maps can have more than 2^31 values. No method of a size is called: Triton makes sizes of 1 constants, which have none.
"""

import triton
import triton.language as tl


@triton.jit
def reduce_maps(
    maps,
    pairs,
    maximum,
    nonpositive,
    sums,
    finite,
    images,
    units,
    height,
    width,
    pairings,
    image_stride,
    unit_stride,
    position_stride,
    position_block: tl.constexpr,
    unit_block: tl.constexpr,
):
    """Reduce the maps: see `operators.reduce_maps`. One program for each (image, block of units)."""
    image = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64) * unit_block + tl.arange(0, unit_block)
    is_unit = unit < units
    positions = height * width
    origin = maps + image * image_stride + unit * unit_stride
    middle = tl.load(origin + (positions // 2) * position_stride, mask=is_unit, other=0.0).to(tl.float32)
    highest = tl.full([unit_block], -float("inf"), tl.float32)
    low_count = tl.zeros([unit_block], tl.int32)
    are_numbers = tl.full([unit_block], 1, tl.int32)
    total = tl.zeros([unit_block], tl.float64)
    squares = tl.zeros([unit_block], tl.float64)
    variation = tl.zeros([unit_block], tl.float64)
    absolute = tl.zeros([unit_block], tl.float64)
    apart = tl.zeros([unit_block], tl.float64)
    for first in range(0, positions, position_block):
        position = first + tl.arange(0, position_block).to(tl.int64)
        is_value = (position < positions)[:, None] & is_unit[None, :]
        has_right = is_value & ((position + 1) % width != 0)[:, None]
        has_below = is_value & (position + width < positions)[:, None]
        pointer = origin[None, :] + (position * position_stride)[:, None]
        value = tl.load(pointer, mask=is_value, other=0.0).to(tl.float32)
        right = tl.load(pointer + position_stride, mask=has_right, other=0.0).to(tl.float32)
        below = tl.load(pointer + width * position_stride, mask=has_below, other=0.0).to(tl.float32)
        highest = tl.maximum(highest, tl.max(tl.where(is_value, value, -float("inf")), axis=0))
        low_count += tl.sum((is_value & (value <= 0)).to(tl.int32), axis=0)
        are_numbers = tl.minimum(are_numbers, tl.min((tl.abs(value) < float("inf")).to(tl.int32), axis=0))
        total += tl.sum(value, axis=0).to(tl.float64)
        moved = tl.where(is_value, value - middle[None, :], 0.0)
        squares += tl.sum(moved * moved, axis=0).to(tl.float64)
        across = tl.where(has_right, tl.abs(value - right), 0.0)
        down = tl.where(has_below, tl.abs(value - below), 0.0)
        variation += tl.sum(across + down, axis=0).to(tl.float64)
        absolute += tl.sum(tl.abs(value), axis=0).to(tl.float64)
        for pairing in range(pairings):
            pair = pairs + (image * pairings + pairing) * 2
            offset = tl.load(pair).to(tl.int64)
            stride = tl.load(pair + 1).to(tl.int64)
            partner = (offset + position * stride) % positions
            partner_pointer = origin[None, :] + (partner * position_stride)[:, None]
            other = tl.load(partner_pointer, mask=is_value, other=0.0).to(tl.float32)
            apart += tl.sum(tl.abs(value - other), axis=0).to(tl.float64)
    usable = are_numbers > 0
    distance = total / positions - middle.to(tl.float64)
    deviations = tl.maximum(squares - distance * distance * positions, 0.0)
    at = image * units + unit
    row = tl.full([unit_block], 1, tl.int64) * images * units  # offset between two rows of sums
    tl.store(maximum + at, tl.where(usable, highest, -float("inf")), mask=is_unit)
    tl.store(nonpositive + at, tl.where(usable, low_count, 0), mask=is_unit)
    tl.store(finite + at, are_numbers.to(tl.uint8), mask=is_unit)
    tl.store(sums + at, tl.where(usable, total, 0.0), mask=is_unit)
    tl.store(sums + row + at, tl.where(usable, deviations, 0.0), mask=is_unit)
    tl.store(sums + row * 2 + at, tl.where(usable, variation, 0.0), mask=is_unit)
    tl.store(sums + row * 3 + at, tl.where(usable, absolute, 0.0), mask=is_unit)
    tl.store(sums + row * 4 + at, tl.where(usable, apart, 0.0), mask=is_unit)


@triton.jit
def sample_maps(
    kept,
    left_out,
    maps,
    finite,
    sampled,
    units,
    count,
    first_column,
    capacity,
    image_stride,
    unit_stride,
    position_stride,
    sample_stride,
    position_block: tl.constexpr,
    unit_block: tl.constexpr,
):
    """Sample values of maps: see `operators.sample_maps`. One program for each (image, block of units)."""
    image = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64) * unit_block + tl.arange(0, unit_block)
    is_unit = unit < units
    usable = tl.load(finite + image * units + unit, mask=is_unit, other=0) != 0
    drawn_count = tl.zeros([position_block], tl.int64)
    for first in range(0, count, position_block):
        index = first + tl.arange(0, position_block)
        position = tl.load(sampled + image * sample_stride + index, mask=index < count, other=-1)
        drawn_count += (position >= 0).to(tl.int64)
        is_sampled = (position >= 0)[:, None] & (is_unit & usable)[None, :]
        at = (unit * unit_stride)[None, :] + (position.to(tl.int64) * position_stride)[:, None]
        value = tl.load(maps + image * image_stride + at, mask=is_sampled, other=-float("inf")).to(tl.float32)
        column = (unit * capacity)[None, :] + (first_column + image * count + index)[:, None]
        tl.store(kept + column, value, mask=(index < count)[:, None] & is_unit[None, :])
    counts = tl.zeros([unit_block], tl.int64) + tl.sum(drawn_count, axis=0)
    tl.atomic_add(left_out + unit, counts, mask=is_unit & (usable == 0))


@triton.jit
def _upsampled_row(origin, row, next_row, weight, column, width, position_stride, mask):
    """Return values interpolated between two rows of a map, at columns of it: float64.

    `weight` is that of `next_row`.
    """
    upper = tl.load(origin + (row * width + column) * position_stride, mask=mask, other=0.0).to(tl.float64)
    lower = tl.load(origin + (next_row * width + column) * position_stride, mask=mask, other=0.0).to(tl.float64)
    return upper + weight * (lower - upper)


@triton.jit
def count_concepts(
    area,
    shared,
    maps,
    maximum,
    threshold,
    row_low,
    row_weight,
    column_low,
    column_weight,
    planes,
    units,
    height,
    width,
    rows,
    columns,
    plane_count,
    label_count,
    image_stride,
    unit_stride,
    position_stride,
    pixel_block: tl.constexpr,
):
    """Count the pixels whose upsampled map is above the threshold, and their labels.

    One program for each (image, unit).

    Pixels without a label are not counted in shared.
    """
    image = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64)
    limit = tl.load(threshold + unit)
    if tl.load(maximum + image * units + unit) > limit:
        limit_ = limit.to(tl.float64)
        origin = maps + image * image_stride + unit * unit_stride
        pixels = rows * columns
        counted = tl.zeros([pixel_block], tl.int64)
        for first in range(0, pixels, pixel_block):
            pixel = first + tl.arange(0, pixel_block)
            is_pixel = pixel < pixels
            row, column = pixel // columns, pixel % columns
            upper = tl.load(row_low + row, mask=is_pixel, other=0)
            lower = tl.minimum(upper + 1, height - 1)
            left = tl.load(column_low + column, mask=is_pixel, other=0)
            right = tl.minimum(left + 1, width - 1)
            down = tl.load(row_weight + row, mask=is_pixel, other=0.0)
            across = tl.load(column_weight + column, mask=is_pixel, other=0.0)
            upper_row = _upsampled_row(origin, upper, lower, down, left, width, position_stride, is_pixel)
            other = _upsampled_row(origin, upper, lower, down, right, width, position_stride, is_pixel)
            above = is_pixel & (upper_row + across * (other - upper_row) > limit_)
            counted += above.to(tl.int64)
            for plane in range(plane_count):
                pointer = planes + (image * plane_count + plane) * pixels + pixel
                label = tl.load(pointer, mask=above, other=0).to(tl.int64)
                cell = shared + unit * label_count + label
                tl.atomic_add(cell, tl.full([pixel_block], 1, tl.int64), mask=above & (label > 0))
        tl.atomic_add(area + image * units + unit, tl.sum(counted, axis=0))
