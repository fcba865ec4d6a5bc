# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Triton's kernels that add the reductions of maps to totals, image after image; `triton_maps.py` describes the
conventions.
"""

import triton
import triton.language as tl


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
    unit_block: tl.constexpr,
):
    """Combine the moments of one map after the other with the totals. One program for each block of units."""
    unit = tl.program_id(0).to(tl.int64) * unit_block + tl.arange(0, unit_block)
    is_unit = unit < units
    previous = tl.load(count + unit, mask=is_unit, other=0.0)
    center = tl.load(mean + unit, mask=is_unit, other=0.0)
    spread = tl.load(deviations + unit, mask=is_unit, other=0.0)
    low = tl.load(low_count + unit, mask=is_unit, other=0.0)
    high = tl.load(highest + unit, mask=is_unit, other=0.0)
    row = tl.full([unit_block], 1, tl.int64) * images * units
    for image in range(images):
        at = unit + tl.full([unit_block], image, tl.int64) * units
        usable = tl.load(finite + at, mask=is_unit, other=0) != 0
        new = tl.where(usable, tl.zeros([unit_block], tl.float64) + positions, 0.0)
        both = previous + new
        share = new / tl.maximum(both, 1.0)
        apart = tl.load(sums + at, mask=is_unit, other=0.0) / positions - center
        spread += tl.load(sums + row + at, mask=is_unit, other=0.0) + apart * apart * previous * share
        center += apart * share
        previous = both
        low += tl.load(nonpositive + at, mask=is_unit, other=0).to(tl.float64)
        high = tl.maximum(high, tl.load(maximum + at, mask=is_unit, other=0.0))
    tl.store(count + unit, previous, mask=is_unit)
    tl.store(mean + unit, center, mask=is_unit)
    tl.store(deviations + unit, spread, mask=is_unit)
    tl.store(low_count + unit, low, mask=is_unit)
    tl.store(highest + unit, high, mask=is_unit)


@triton.jit
def add_variation(variation, absolute, expected, maps, sums, finite, images, units, share, unit_block: tl.constexpr):
    """Add variations to totals: see `operators.add_variation`. One program for each block of units."""
    unit = tl.program_id(0).to(tl.int64) * unit_block + tl.arange(0, unit_block)
    is_unit = unit < units
    varied = tl.load(variation + unit, mask=is_unit, other=0.0)
    size = tl.load(absolute + unit, mask=is_unit, other=0.0)
    chance = tl.load(expected + unit, mask=is_unit, other=0.0)
    count = tl.load(maps + unit, mask=is_unit, other=0.0)
    row = tl.full([unit_block], 1, tl.int64) * images * units
    for image in range(images):
        at = unit + tl.full([unit_block], image, tl.int64) * units
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
def add_class_means(total, left_out, activation, finite, labels, images, units, unit_block: tl.constexpr):
    """Add up the batch's images of each class, in the program of that class's first image.

    One program for each (image, block of units).
    """
    row = tl.program_id(0)
    unit = tl.program_id(1).to(tl.int64) * unit_block + tl.arange(0, unit_block)
    is_unit = unit < units
    label = tl.load(labels + row)
    is_first = (label >= 0).to(tl.int32)
    sums = tl.zeros([unit_block], tl.float64)
    missing = tl.zeros([unit_block], tl.int32)
    for image in range(images):
        is_same = tl.load(labels + image) == label
        is_first = tl.where(is_same & (image < row), 0, is_first)
        at = unit + tl.full([unit_block], image, tl.int64) * units
        is_member = is_unit & is_same
        usable = tl.load(finite + at, mask=is_member, other=0) != 0
        values = tl.load(activation + at, mask=is_member, other=0.0).to(tl.float64)
        sums += tl.where(usable, values, 0.0)
        missing += (is_member & (usable == 0)).to(tl.int32)
    writes = is_unit & (is_first > 0)
    at = unit + label * units
    tl.store(total + at, tl.load(total + at, mask=writes, other=0.0) + sums, mask=writes)
    tl.store(left_out + at, tl.load(left_out + at, mask=writes, other=0) + missing, mask=writes)
