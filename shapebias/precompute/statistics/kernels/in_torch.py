"""The operators implemented with PyTorch's operations, for GPUs where Triton cannot be used."""

from collections.abc import Sequence

import torch
from torch import Tensor

_CHUNK = 1 << 24  # largest number of upsampled values that are held at once


def reduce_maps(maps: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reduce maps: see `operators.reduce_maps`."""
    maps = maps.float().contiguous(memory_format=torch.channels_last)
    rows = maps.permute(0, 2, 3, 1).flatten(1, 2)
    finite = rows.isfinite().all(1)
    total = rows.sum(1, dtype=torch.float64)
    mean = total / rows.shape[1]
    deviations = torch.linalg.vector_norm(rows - mean.float()[:, None], dim=1).double().square()
    deviations -= rows.shape[1] * (mean - mean.float()).square()
    down = (maps[:, :, 1:] - maps[:, :, :-1]).abs().sum((2, 3), dtype=torch.float64)
    across = (maps[:, :, :, 1:] - maps[:, :, :, :-1]).abs().sum((2, 3), dtype=torch.float64)
    absolute = rows.abs().sum(1, dtype=torch.float64)
    sums = torch.stack([total, deviations.clamp(min=0), down + across, absolute, _pair_distances(rows, pairs)])
    return (
        rows.amax(1).masked_fill(~finite, -torch.inf),
        (rows <= 0).sum(1, dtype=torch.int32).masked_fill(~finite, 0),
        sums.masked_fill(~finite, 0),
        finite,
    )


def _pair_distances(rows: Tensor, pairs: Tensor) -> Tensor:
    """Return the sums of |a[p] - a[q]| over the pairs of positions of each map, float64 [B, C].

    rows [B, P, C]; pairs int32 [B, pairings, 2], the (offset, stride) of every pairing: see `Pairing`.
    """
    images, positions, units = rows.shape
    total = torch.zeros((images, units), dtype=torch.float64, device=rows.device)
    position = torch.arange(positions, device=rows.device)
    image = torch.arange(images, device=rows.device)[:, None]
    for offset, stride in pairs.long().permute(1, 2, 0):
        partner = (offset[:, None] + position * stride[:, None]) % positions
        total += (rows[image, partner] - rows).abs_().sum(1, dtype=torch.float64)
    return total


def combine_moments(totals: Sequence[Tensor], count: Tensor, mean: Tensor, deviations: Tensor) -> None:
    """Add the moments of other values to `totals`, in place: (count, mean, sum of squared deviations from the mean).

    All are float64 [C].
    """
    own_count, own_mean, own_deviations = totals
    share = count / (own_count + count).clamp(min=1)
    apart = mean - own_mean
    own_deviations += deviations + apart.square() * (own_count * share)
    own_mean += apart * share
    own_count += count


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
    *moments, low_count = totals
    size = finite.double() * positions
    count = size.sum(0)
    mean = sums[0].sum(0) / count.clamp(min=1)
    between = size * (sums[0] / positions - mean).square()
    combine_moments(moments, count, mean, (sums[1] + between).sum(0))
    low_count += nonpositive.sum(0)
    torch.maximum(highest, maximum.amax(0), out=highest)


def add_variation(totals: list[Tensor], sums: Tensor, finite: Tensor, share: float) -> None:
    """Add variations to totals: see `operators.add_variation`."""
    variation, absolute, apart = sums[2:]
    usable = finite & variation.isfinite() & absolute.isfinite()
    for total, values in zip(totals, (variation, absolute, apart * share, usable.double()), strict=True):
        total += values.masked_fill(~usable, 0).sum(0)


def add_class_means(total: Tensor, left_out: Tensor, activation: Tensor, finite: Tensor, labels: Tensor) -> None:
    """Add activations to class sums, by matrix products with a fixed order of additions: see
    `operators.add_class_means`.
    """
    shows = (torch.arange(len(total), device=labels.device)[:, None] == labels).double()
    total += shows @ activation.double().masked_fill(~finite, 0)
    left_out += (shows @ (~finite).double()).int()


def count_ties(tied: Tensor, previous: Tensor, largest: Tensor, ties: Tensor) -> None:
    """Update `tied`, how many images have the unit's largest value, for new images; all arguments are [C].

    `known` is the largest value before, `largest` that among the new images, and `ties` how many of these have it.
    Where `largest` is larger than `known`, only the new images count.
    """
    tied.copy_(torch.where(largest >= previous, ties, 0) + torch.where(largest <= previous, tied, 0))


def count_ties_of_batch(tied: Tensor, previous: Tensor, maximum: Tensor) -> None:
    """Update `tied`, how many images have the unit's largest value, for the images of a batch, as `count_ties` does.

    known:    float32 [C], the largest value before
    maximum:  float32 [B, C], the largest value of each map; -inf for a map that is left out
    """
    largest = maximum.amax(0)
    count_ties(tied, previous, largest, ((maximum == largest) & (maximum > -torch.inf)).sum(0))


def in_order(value: Tensor, mean: Tensor, key: Tensor) -> Tensor:
    """Return the order of top lists' entries [C, n] as indices, int64 [C, n].

    The largest value comes first, of equal ones the largest mean, and of equal means the smallest key.
    """
    by_key = key.argsort(dim=1, stable=True)
    strength = (_as_ordered_integers(value) << 32) + _as_ordered_integers(mean) + (1 << 31)
    return by_key.gather(1, strength.gather(1, by_key).argsort(dim=1, descending=True, stable=True))


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
    """Insert a batch's images into the top lists of all units, and return the new lists: see `operators.insert_top`.

    lists:    value, mean, key, image, position and slot, [C, k] each, as `operators.insert_top` returns them
    kept:     uint8 [C, k, P], changed in place: the maps of the lists' entries, 255 for the entry's own value
    tied:     int64 [C], changed in place: how many images have the unit's largest value
    maps:     [B, C, h, w]
    maximum:  float32 [B, C], the largest value of each map; -inf for a map that is left out
    average:  float32 [B, C], the mean of each map
    keys:     int64 [B], by which images of equal value and mean are ordered, the smallest first
    images:   int64 [B], the images' positions in the listing
    """
    count_ties_of_batch(tied, lists[0][:, 0], maximum)
    (units, k), batch = lists[0].shape, (maps.shape[1], len(maps))
    *old, slot = lists
    kept.copy_(kept.gather(1, slot.long()[:, :, None].expand(kept.shape)))  # the kept maps in the order of the lists
    unread = torch.zeros(batch, dtype=torch.int32, device=maps.device)
    others = [maximum.T, average.T, keys.expand(batch), images.expand(batch), unread]
    joined = [torch.cat(pair, 1) for pair in zip(old, others, strict=True)]
    order = in_order(*joined[:3])[:, :k]
    value, mean, key, image, position = (entries.gather(1, order) for entries in joined)
    kept.copy_(kept.gather(1, order.clamp(max=k - 1)[:, :, None].expand(kept.shape)))
    unit, rank = torch.nonzero((order >= k) & (value > -torch.inf), as_tuple=True)
    entry, new = maps[order[unit, rank] - k, unit].float().flatten(1), value[unit, rank, None]
    position[unit, rank] = (entry == new).int().argmax(1).int()
    share = torch.where(new > 0, entry.clamp(min=0) / new, 0.0)
    kept[unit, rank] = (share * 255 + 0.5).to(torch.uint8)
    return [value, mean, key, image, position, torch.arange(k, dtype=torch.int32, device=slot.device).repeat(units, 1)]


def sample_maps(
    kept: Tensor, left_out: Tensor, maps: Tensor, finite: Tensor, sampled: Tensor, first_column: int
) -> None:
    """Sample values of maps: see `operators.sample_maps`."""
    images, count = sampled.shape
    drawn = sampled >= 0
    rows = maps.permute(0, 2, 3, 1).flatten(1, 2)
    values = rows[torch.arange(images, device=maps.device)[:, None], sampled.clamp(min=0).long()].float()
    values = torch.where(drawn[:, :, None] & finite[:, None], values, -torch.inf)
    kept[:, first_column : first_column + images * count] = values.flatten(0, 1).T
    left_out += (drawn.sum(1)[:, None] * ~finite).sum(0)


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
    rows, columns = upsampling[:2], upsampling[2:]
    images, units = (maximum > threshold).nonzero(as_tuple=True)
    step = max(1, _CHUNK // (len(rows[0]) * len(columns[0])))
    for first in range(0, len(images), step):
        image, unit = images[first : first + step], units[first : first + step]
        values = _stretch(maps[image, unit].double(), rows, 1)
        above = (_stretch(values, columns, 2) > threshold[unit, None, None]).flatten(1)
        area[image, unit] += above.sum(1)
        pair, pixel = above.nonzero(as_tuple=True)
        for plane in range(planes.shape[1]):
            cell = unit[pair] * shared.shape[1] + planes[image[pair], plane, pixel]
            shared.view(-1).scatter_add_(0, cell, torch.ones_like(cell))


def _stretch(values: Tensor, upsampling: list[Tensor], dimension: int) -> Tensor:
    """Return values, an array of three dimensions, upsampled in one of them by (low, weight): see `Upsampling`."""
    low, weight = upsampling
    before = values.index_select(dimension, low)
    behind = values.index_select(dimension, (low + 1).clamp(max=values.shape[dimension] - 1))
    return before + weight.view([-1 if axis == dimension else 1 for axis in range(3)]) * (behind - before)


def _as_ordered_integers(values: Tensor) -> Tensor:
    """Return int64 numbers with the same order as float32 values, between -2^31 and 2^31; 0 and -0 become equal."""
    bits = (values + 0.0).view(torch.int32)
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
