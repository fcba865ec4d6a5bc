# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Triton's kernels for top lists; `triton_maps.py` describes the conventions."""

import triton
import triton.language as tl


@triton.jit
def _precedes(value, mean, key, index, other_value, other_mean, other_key, other_index):
    """Return whether an entry of top lists comes before others; as in numba's kernels, equal ones keep their order."""
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
    entry_block: tl.constexpr,
):
    """Put the lists' entries and the batch's images at their common ranks in new lists. One program for each unit.

    A new entry's position, slot and map are left to `keep_maps`, for which there are
    source int32 [C, k]: the batch's image of an entry, -1 for an old entry;
    number int32 [C, k]: how many new entries come before a new one in the batch;
    freed int32 [C, k]: the slots of the entries that dropped out, as many as there are new ones.
    """
    unit = tl.program_id(0).to(tl.int64)
    entry = tl.arange(0, entry_block)
    old = entry < k
    row = entry - k
    comes = (row >= 0) & (row < image_count)
    old_entry = unit * k + entry
    batch = row.to(tl.int64) * units + unit
    values = tl.load(value + old_entry, mask=old, other=-float("inf"))
    values = tl.where(comes, tl.load(maximum + batch, mask=comes, other=-float("inf")), values)
    usable = values > -float("inf")
    means = tl.load(mean + old_entry, mask=old, other=-float("inf"))
    means = tl.where(comes & usable, tl.load(average + batch, mask=comes, other=0.0), means)
    entry_keys = tl.load(key + old_entry, mask=old, other=-1)
    entry_keys = tl.where(comes & usable, tl.load(keys + row, mask=comes, other=-1), entry_keys)
    rank = tl.zeros([entry_block], tl.int32)
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
    images_ = tl.load(image + old_entry, mask=old, other=-1)
    tl.store(new_image + to, tl.where(is_new, tl.load(images + row, mask=is_new, other=-1), images_), mask=stays)
    tl.store(new_position + to, tl.load(position + old_entry, mask=old, other=0), mask=stays)
    slots = tl.load(slot + old_entry, mask=old, other=0)
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
    position_block: tl.constexpr,
):
    """Copy a new entry's map into `kept`, with 255 for its maximum, and store the maximum's position and the slot.

    One program for each (unit, rank), which does nothing for an old entry.
    """
    entry = tl.program_id(0).to(tl.int64)
    unit = entry // k
    image = tl.load(source + entry).to(tl.int64)
    if image >= 0:
        free_slot = tl.load(freed + unit * k + tl.load(number + entry))
        highest = tl.load(value + entry)
        scale = tl.where(highest > 0, 255.0 / highest.to(tl.float64), 0.0)
        origin = maps + image * image_stride + unit * unit_stride
        target = kept + (unit * k + free_slot) * positions
        where = tl.full([position_block], 2147483647, tl.int32)
        for first in range(0, positions, position_block):
            index = first + tl.arange(0, position_block)
            is_value = index < positions
            activation = tl.load(origin + index.to(tl.int64) * position_stride, mask=is_value, other=0.0)
            activation = activation.to(tl.float32)
            level = tl.maximum(activation, 0.0).to(tl.float64) * scale + 0.5
            tl.store(target + index, level.to(tl.int32).to(tl.uint8), mask=is_value)
            where = tl.minimum(where, tl.where(is_value & (activation == highest), index, 2147483647))
        tl.store(position + entry, tl.min(where, axis=0))
        tl.store(slot + entry, free_slot)
