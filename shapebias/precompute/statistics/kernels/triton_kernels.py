"""The operators' kernels in Triton, for GPUs; `in_triton.py` launches them.

A program owns the images or units that it writes, and goes through the others in order: what it adds up does not depend
on scheduling. Only counts, which are whole numbers, are added to by several programs. Offsets are int64: a batch of maps
can have more than 2^31 values. Nothing calls a method of a size: Triton turns sizes of 1 into constants, which have none.
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
    POSITIONS: tl.constexpr,
    UNITS: tl.constexpr,
):
    """Program (image, block of units): all sums over the positions of the maps."""
    image = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    is_unit = unit < units
    positions = height * width
    origin = maps + image * image_stride + unit * unit_stride
    middle = tl.load(origin + (positions // 2) * position_stride, mask=is_unit, other=0.0).to(tl.float32)
    highest = tl.full([UNITS], -float("inf"), tl.float32)
    low_count = tl.zeros([UNITS], tl.int32)
    are_numbers = tl.full([UNITS], 1, tl.int32)
    total = tl.zeros([UNITS], tl.float64)
    squares = tl.zeros([UNITS], tl.float64)
    variation = tl.zeros([UNITS], tl.float64)
    absolute = tl.zeros([UNITS], tl.float64)
    apart = tl.zeros([UNITS], tl.float64)
    for first in range(0, positions, POSITIONS):
        position = first + tl.arange(0, POSITIONS).to(tl.int64)
        is_value = (position < positions)[:, None] & is_unit[None, :]
        has_right = is_value & ((position + 1) % width != 0)[:, None]
        has_below = is_value & (position + width < positions)[:, None]
        here = origin[None, :] + (position * position_stride)[:, None]
        value = tl.load(here, mask=is_value, other=0.0).to(tl.float32)
        right = tl.load(here + position_stride, mask=has_right, other=0.0).to(tl.float32)
        below = tl.load(here + width * position_stride, mask=has_below, other=0.0).to(tl.float32)
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
            there = origin[None, :] + (partner * position_stride)[:, None]
            other = tl.load(there, mask=is_value, other=0.0).to(tl.float32)
            apart += tl.sum(tl.abs(value - other), axis=0).to(tl.float64)
    usable = are_numbers > 0
    distance = total / positions - middle.to(tl.float64)
    deviations = tl.maximum(squares - distance * distance * positions, 0.0)
    at = image * units + unit
    row = tl.full([UNITS], 1, tl.int64) * images * units  # of sums
    tl.store(maximum + at, tl.where(usable, highest, -float("inf")), mask=is_unit)
    tl.store(nonpositive + at, tl.where(usable, low_count, 0), mask=is_unit)
    tl.store(finite + at, are_numbers.to(tl.uint8), mask=is_unit)
    tl.store(sums + at, tl.where(usable, total, 0.0), mask=is_unit)
    tl.store(sums + row + at, tl.where(usable, deviations, 0.0), mask=is_unit)
    tl.store(sums + row * 2 + at, tl.where(usable, variation, 0.0), mask=is_unit)
    tl.store(sums + row * 3 + at, tl.where(usable, absolute, 0.0), mask=is_unit)
    tl.store(sums + row * 4 + at, tl.where(usable, apart, 0.0), mask=is_unit)


@triton.jit
def add_moments(
    count,
    mean,
    deviations,
    low_count,
    highest,
    maximum,
    nonpositive,
    sums,
    finite,
    images,
    units,
    positions,
    UNITS: tl.constexpr,
):
    """Program (block of units): the moments of one map after the other are combined with those known."""
    unit = tl.program_id(0).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    is_unit = unit < units
    known = tl.load(count + unit, mask=is_unit, other=0.0)
    center = tl.load(mean + unit, mask=is_unit, other=0.0)
    spread = tl.load(deviations + unit, mask=is_unit, other=0.0)
    low = tl.load(low_count + unit, mask=is_unit, other=0.0)
    high = tl.load(highest + unit, mask=is_unit, other=0.0)
    row = tl.full([UNITS], 1, tl.int64) * images * units
    for image in range(images):
        at = unit + tl.full([UNITS], image, tl.int64) * units
        usable = tl.load(finite + at, mask=is_unit, other=0) != 0
        new = tl.where(usable, tl.zeros([UNITS], tl.float64) + positions, 0.0)
        both = known + new
        share = new / tl.maximum(both, 1.0)
        apart = tl.load(sums + at, mask=is_unit, other=0.0) / positions - center
        spread += tl.load(sums + row + at, mask=is_unit, other=0.0) + apart * apart * known * share
        center += apart * share
        known = both
        low += tl.load(nonpositive + at, mask=is_unit, other=0).to(tl.float64)
        high = tl.maximum(high, tl.load(maximum + at, mask=is_unit, other=0.0))
    tl.store(count + unit, known, mask=is_unit)
    tl.store(mean + unit, center, mask=is_unit)
    tl.store(deviations + unit, spread, mask=is_unit)
    tl.store(low_count + unit, low, mask=is_unit)
    tl.store(highest + unit, high, mask=is_unit)


@triton.jit
def add_variation(variation, absolute, expected, maps, sums, finite, images, units, share, UNITS: tl.constexpr):
    """Program (block of units): sums over the images, of maps whose sums are finite numbers."""
    unit = tl.program_id(0).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    is_unit = unit < units
    varied = tl.load(variation + unit, mask=is_unit, other=0.0)
    size = tl.load(absolute + unit, mask=is_unit, other=0.0)
    chance = tl.load(expected + unit, mask=is_unit, other=0.0)
    count = tl.load(maps + unit, mask=is_unit, other=0.0)
    row = tl.full([UNITS], 1, tl.int64) * images * units
    for image in range(images):
        at = unit + tl.full([UNITS], image, tl.int64) * units
        new_varied = tl.load(sums + row * 2 + at, mask=is_unit, other=0.0)
        new_size = tl.load(sums + row * 3 + at, mask=is_unit, other=0.0)
        apart = tl.load(sums + row * 4 + at, mask=is_unit, other=0.0)
        usable = tl.load(finite + at, mask=is_unit, other=0) != 0
        usable = usable & (new_varied < float("inf")) & (new_size < float("inf"))
        varied += tl.where(usable, new_varied, 0.0)
        size += tl.where(usable, new_size, 0.0)
        chance += tl.where(usable, apart * share, 0.0)
        count += usable.to(tl.float64)
    tl.store(variation + unit, varied, mask=is_unit)
    tl.store(absolute + unit, size, mask=is_unit)
    tl.store(expected + unit, chance, mask=is_unit)
    tl.store(maps + unit, count, mask=is_unit)


@triton.jit
def add_class_means(total, left_out, activation, finite, labels, images, units, UNITS: tl.constexpr):
    """Program (image, block of units): of a class's first image in the batch, the sums over all of the class."""
    own = tl.program_id(0)
    unit = tl.program_id(1).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    is_unit = unit < units
    label = tl.load(labels + own)
    is_first = (label >= 0).to(tl.int32)
    sums = tl.zeros([UNITS], tl.float64)
    missing = tl.zeros([UNITS], tl.int32)
    for image in range(images):
        is_same = tl.load(labels + image) == label
        is_first = tl.where(is_same & (image < own), 0, is_first)
        at = unit + tl.full([UNITS], image, tl.int64) * units
        wanted = is_unit & is_same
        usable = tl.load(finite + at, mask=wanted, other=0) != 0
        values = tl.load(activation + at, mask=wanted, other=0.0).to(tl.float64)
        sums += tl.where(usable, values, 0.0)
        missing += (wanted & (usable == 0)).to(tl.int32)
    writes = is_unit & (is_first > 0)
    at = unit + label * units
    tl.store(total + at, tl.load(total + at, mask=writes, other=0.0) + sums, mask=writes)
    tl.store(left_out + at, tl.load(left_out + at, mask=writes, other=0) + missing, mask=writes)


@triton.jit
def _precedes(value, mean, key, index, other_value, other_mean, other_key, other_index):
    """Return whether an entry of top lists comes before others: as in numba's, equal ones as they come."""
    by_key = (key < other_key) | ((key == other_key) & (index < other_index))
    by_mean = (mean > other_mean) | ((mean == other_mean) & by_key)
    return (value > other_value) | ((value == other_value) & by_mean)


@triton.jit
def insert_top(
    value,
    mean,
    key,
    image,
    position,
    slot,
    tied,
    maximum,
    average,
    keys,
    images,
    new_value,
    new_mean,
    new_key,
    new_image,
    new_position,
    new_slot,
    new_tied,
    source,
    number,
    freed,
    image_count,
    units,
    k,
    ENTRIES: tl.constexpr,
):
    """Program (unit): the list's entries and the batch's images go where their rank among all of them is.

    source int32 [C, k]: the image of the batch that an entry is of, -1 for an old one; number int32 [C, k]: how many
    new entries stand before a new one in the batch. freed int32 [C, k]: the slots of the entries that left, as many.
    """
    unit = tl.program_id(0).to(tl.int64)
    entry = tl.arange(0, ENTRIES)
    old = entry < k
    row = entry - k
    comes = (row >= 0) & (row < image_count)
    known = unit * k + entry
    batch = row.to(tl.int64) * units + unit
    values = tl.load(value + known, mask=old, other=-float("inf"))
    values = tl.where(comes, tl.load(maximum + batch, mask=comes, other=-float("inf")), values)
    usable = values > -float("inf")
    means = tl.load(mean + known, mask=old, other=-float("inf"))
    means = tl.where(comes & usable, tl.load(average + batch, mask=comes, other=0.0), means)
    entry_keys = tl.load(key + known, mask=old, other=-1)
    entry_keys = tl.where(comes & usable, tl.load(keys + row, mask=comes, other=-1), entry_keys)
    rank = tl.zeros([ENTRIES], tl.int32)
    for index in range(k):
        at = unit * k + index
        other = _precedes(
            tl.load(value + at), tl.load(mean + at), tl.load(key + at), index, values, means, entry_keys, entry
        )
        rank += other.to(tl.int32)
    for index in range(image_count):
        at = index * units + unit
        its_value = tl.load(maximum + at)
        its_mean = tl.where(its_value > -float("inf"), tl.load(average + at), -float("inf"))
        its_key = tl.where(its_value > -float("inf"), tl.load(keys + index), -1)
        other = _precedes(its_value, its_mean, its_key, index + k, values, means, entry_keys, entry)
        rank += other.to(tl.int32)
    stays = (old | comes) & (rank < k)
    is_new = stays & comes
    leaves = old & (rank >= k)
    to = unit * k + rank
    tl.store(new_value + to, values, mask=stays)
    tl.store(new_mean + to, means, mask=stays)
    tl.store(new_key + to, entry_keys, mask=stays)
    images_ = tl.load(image + known, mask=old, other=-1)
    tl.store(new_image + to, tl.where(is_new, tl.load(images + row, mask=is_new, other=-1), images_), mask=stays)
    tl.store(new_position + to, tl.load(position + known, mask=old, other=0), mask=stays)
    slots = tl.load(slot + known, mask=old, other=0)
    tl.store(new_slot + to, slots, mask=stays)
    tl.store(source + to, tl.where(is_new, row, -1), mask=stays)
    tl.store(number + to, tl.cumsum(is_new.to(tl.int32), 0) - 1, mask=stays)
    tl.store(freed + unit * k + tl.cumsum(leaves.to(tl.int32), 0) - 1, slots, mask=leaves)
    largest = tl.max(tl.where(comes, values, -float("inf")), axis=0)
    ties = tl.sum((comes & usable & (values == largest)).to(tl.int64), axis=0)
    before = tl.load(value + unit * k)
    counted = tl.where(largest <= before, tl.load(tied + unit), 0)
    tl.store(new_tied + unit, tl.where(largest >= before, ties, 0) + counted)


@triton.jit
def keep_maps(
    maps,
    value,
    source,
    number,
    freed,
    position,
    slot,
    kept,
    k,
    positions,
    image_stride,
    unit_stride,
    position_stride,
    POSITIONS: tl.constexpr,
):
    """Program (unit, rank): the map of an entry that is new, scaled to 255, and where its maximum is."""
    entry = tl.program_id(0).to(tl.int64)
    unit = entry // k
    image = tl.load(source + entry).to(tl.int64)
    if image >= 0:
        own = tl.load(freed + unit * k + tl.load(number + entry))
        highest = tl.load(value + entry)
        scale = tl.where(highest > 0, 255.0 / highest.to(tl.float64), 0.0)
        origin = maps + image * image_stride + unit * unit_stride
        target = kept + (unit * k + own) * positions
        where = tl.full([POSITIONS], 2147483647, tl.int32)
        for first in range(0, positions, POSITIONS):
            place = first + tl.arange(0, POSITIONS)
            is_value = place < positions
            activation = tl.load(origin + place.to(tl.int64) * position_stride, mask=is_value, other=0.0)
            activation = activation.to(tl.float32)
            level = tl.maximum(activation, 0.0).to(tl.float64) * scale + 0.5
            tl.store(target + place, level.to(tl.int32).to(tl.uint8), mask=is_value)
            where = tl.minimum(where, tl.where(is_value & (activation == highest), place, 2147483647))
        tl.store(position + entry, tl.min(where, axis=0))
        tl.store(slot + entry, own)


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
    POSITIONS: tl.constexpr,
    UNITS: tl.constexpr,
):
    """Program (image, block of units): the sampled values of the maps, side by side."""
    image = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    is_unit = unit < units
    usable = tl.load(finite + image * units + unit, mask=is_unit, other=0) != 0
    drawn_count = tl.zeros([POSITIONS], tl.int64)
    for first in range(0, count, POSITIONS):
        index = first + tl.arange(0, POSITIONS)
        position = tl.load(sampled + image * sample_stride + index, mask=index < count, other=-1)
        drawn_count += (position >= 0).to(tl.int64)
        wanted = (position >= 0)[:, None] & (is_unit & usable)[None, :]
        at = (unit * unit_stride)[None, :] + (position.to(tl.int64) * position_stride)[:, None]
        value = tl.load(maps + image * image_stride + at, mask=wanted, other=-float("inf")).to(tl.float32)
        column = (unit * capacity)[None, :] + (first_column + image * count + index)[:, None]
        tl.store(kept + column, value, mask=(index < count)[:, None] & is_unit[None, :])
    counts = tl.zeros([UNITS], tl.int64) + tl.sum(drawn_count, axis=0)
    tl.atomic_add(left_out + unit, counts, mask=is_unit & (usable == 0))


@triton.jit
def _upsampled_row(origin, row, next_row, weight, column, width, position_stride, mask):
    """Return values between two rows of a map, at a column of it: float64."""
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
    PIXELS: tl.constexpr,
):
    """Program (image, unit): the pixels where the upsampled map is above the threshold, and the labels there.

    No pixel without a label is counted in shared.
    """
    image = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64)
    limit = tl.load(threshold + unit)
    if tl.load(maximum + image * units + unit) > limit:
        limit_ = limit.to(tl.float64)
        origin = maps + image * image_stride + unit * unit_stride
        pixels = rows * columns
        counted = tl.zeros([PIXELS], tl.int64)
        for first in range(0, pixels, PIXELS):
            pixel = first + tl.arange(0, PIXELS)
            is_pixel = pixel < pixels
            row, column = pixel // columns, pixel % columns
            upper = tl.load(row_low + row, mask=is_pixel, other=0)
            lower = tl.minimum(upper + 1, height - 1)
            left = tl.load(column_low + column, mask=is_pixel, other=0)
            right = tl.minimum(left + 1, width - 1)
            down = tl.load(row_weight + row, mask=is_pixel, other=0.0)
            across = tl.load(column_weight + column, mask=is_pixel, other=0.0)
            one = _upsampled_row(origin, upper, lower, down, left, width, position_stride, is_pixel)
            other = _upsampled_row(origin, upper, lower, down, right, width, position_stride, is_pixel)
            above = is_pixel & (one + across * (other - one) > limit_)
            counted += above.to(tl.int64)
            for plane in range(plane_count):
                shown = planes + (image * plane_count + plane) * pixels + pixel
                label = tl.load(shown, mask=above, other=0).to(tl.int64)
                cell = shared + unit * label_count + label
                tl.atomic_add(cell, tl.full([PIXELS], 1, tl.int64), mask=above & (label > 0))
        tl.atomic_add(area + image * units + unit, tl.sum(counted, axis=0))
