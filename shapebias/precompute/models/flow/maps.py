"""The layout of maps in a layer's tensor: which of its axes are channels, and which are rows and columns."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor

from shapebias.precompute.models.flow.axes import (
    CHANNELS,
    COLUMNS,
    GROUPS,
    IMAGES,
    POSITIONS,
    ROWS,
    TOKENS,
    Axes,
    Axis,
    Factor,
    axis,
    labels_of,
    size_of,
)

_ORDER = (IMAGES, CHANNELS, ROWS, COLUMNS, POSITIONS)


@dataclass(frozen=True)
class Layout:
    """Converts a layer's tensor to maps [B, units, h, w], and back.

    axes:   those of the recorded tensor (see `flow.axes`); None where a tensor is [B, units, h, w] as it is
    batch:  the number of images in the recorded tensor; others may have another number
    """

    axes: Axes | None = None
    batch: int = 0

    def maps(self, tensor: Tensor) -> Tensor:
        """Return the maps [B, units, h, w] in a tensor, with rows and columns in the image's order; a view where that
        is possible.

        Tokens without a position are left out. Raises ValueError where the tensor belongs to an image of another size
        than the recorded one's, and its axes have to be split, cut or rolled, which is known for that size only.
        """
        if self.axes is None:
            return tensor
        ordered = self._ordered(tensor)
        maps = ordered.reshape(_grouped(zip(self._order, ordered.shape, strict=True)))
        return maps.roll([-shift for shift in self._shifts], (2, 3)) if any(self._shifts) else maps

    def restore(self, maps: Tensor, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor with other maps [B, units, h, w] in it; the maps themselves without `axes`."""
        if self.axes is None:
            return maps
        changed = tensor.clone(memory_format=torch.contiguous_format)
        ordered = self._ordered(changed)
        maps = maps.roll(self._shifts, (2, 3)) if any(self._shifts) else maps
        ordered.copy_(maps.reshape(ordered.shape))
        return changed

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape [B, units, h, w] of the maps in the recorded tensor; only where `axes` are given."""
        return _grouped((factor, factor.size) for factor in self._factors)

    @cached_property
    def _outer(self) -> list[Factor]:
        """The factors of all axes in the order of the tensor; an axis of one element has one factor of size 1."""
        assert self.axes is not None
        return [factor for one in self.axes for factor in one or (Factor(POSITIONS, 1),)]

    @cached_property
    def _factors(self) -> list[Factor]:
        """The same as `_outer`, with the positions among tokens in place of all tokens."""
        return [factor for outer in self._outer for factor in outer.inner or (outer,)]

    @cached_property
    def _order(self) -> list[Factor]:
        return sorted(self._factors, key=_in_order)

    @cached_property
    def _shifts(self) -> tuple[int, int]:
        """By how many rows and columns the tensor's maps are rolled towards the end, as by `torch.roll`."""
        shifts = {factor.label: factor.shift for factor in self._factors}
        return shifts.get(ROWS, 0), shifts.get(COLUMNS, 0) or shifts.get(POSITIONS, 0)

    def _ordered(self, tensor: Tensor) -> Tensor:
        """Return the tensor with one axis for each factor, in the order of `_order`, a view where that is possible.

        Tokens without a position are left out.
        """
        assert self.axes is not None
        order = sorted(range(len(self._factors)), key=lambda index: _in_order(self._factors[index]))
        if len(self._factors) == len(self.axes) and self._factors == self._outer and not any(self._shifts):
            return tensor.permute(order)
        sizes = list(zip(tensor.shape, self.axes, strict=True))
        if any(size != size_of(one) for size, one in sizes if IMAGES not in labels_of(one)):
            raise ValueError(f"a tensor of {list(tensor.shape)}, not of the size that the network was traced with")
        images = next(size * self.batch // size_of(one) for size, one in sizes if IMAGES in labels_of(one))
        tensor = tensor.reshape([images if outer.label == IMAGES else outer.size for outer in self._outer])
        for position, outer in enumerate(self._outer):
            if outer.label == TOKENS:
                tensor = tensor.narrow(position, outer.before, size_of(outer.inner))
        split = [images if factor.label == IMAGES else factor.size for factor in self._factors]
        return tensor.reshape(split).permute(order)


def _in_order(factor: Factor) -> tuple[int, int]:
    """Return a sort key: positions in the order of the image; channels in the order of the tensor, shuffled or not."""
    return _ORDER.index(factor.label), 0 if factor.label == CHANNELS else -factor.stride


def _grouped(sizes: Iterable[tuple[Factor, int]]) -> tuple[int, int, int, int]:
    """Return the shape [B, units, h, w] that factors of these sizes make."""
    grouped = dict.fromkeys(_ORDER, 1)
    for factor, size in sizes:
        grouped[factor.label] *= size
    return grouped[IMAGES], grouped[CHANNELS], grouped[ROWS], grouped[COLUMNS] * grouped[POSITIONS]


CHANNELS_FIRST = Layout()


def layout_of(axes: Axes, batch: int) -> Layout | None:
    """Return the layout of maps in a tensor with these axes, for `batch` images; None where it holds no maps.

    It holds none where it is unknown which axes are channels, or where the positions are not all of a map's, each once.
    """
    axes = tuple(map(_as_channels, axes))
    factors = [factor for one in axes for outer in one for factor in outer.inner or (outer,)]
    labels = {factor.label for factor in factors}
    if not labels <= set(_ORDER) or [factor.size for factor in factors if factor.label == IMAGES] != [batch]:
        return None
    if POSITIONS in labels and labels & {ROWS, COLUMNS}:
        return None
    if not all(_is_side([factor for factor in factors if factor.label == label]) for label in _ORDER[2:]):
        return None
    plain = (IMAGES, CHANNELS, ROWS, COLUMNS)
    if len(axes) == 4 and all(_is_plain(one, label) for one, label in zip(axes, plain, strict=True)):
        return CHANNELS_FIRST
    return Layout(axes, batch)


def _is_plain(factors: Axis, label: str) -> bool:
    """Return whether an axis is one of [B, units, h, w] as it is: channels in any order, positions in order."""
    in_order = label == CHANNELS or (len(factors) <= 1 and all(factor.shift == 0 for factor in factors))
    return in_order and labels_of(factors) <= {label}


def _is_side(factors: list[Factor]) -> bool:
    """Return whether factors step along a side of a map without a gap, once through each position.

    A position may be several pixels, where the pixels within became channels.
    """
    steps = sorted(factors, key=lambda factor: factor.stride)
    first = steps[0].stride if steps else 1
    strides = accumulate((factor.size for factor in steps), mul, initial=first)
    in_order = all(factor.stride == stride for factor, stride in zip(steps, strides, strict=False))
    rolls = {(factor.shift, factor.whole) for factor in factors}
    return in_order and (rolls <= {(0, 0)} or (len(rolls) == 1 and factors[0].whole == size_of(factors)))


def _as_channels(factors: Axis) -> Axis:
    """Return an axis that mixes channels with pixels or groups as one of channels; other axes unchanged.

    Space-to-depth makes such axes: each of their elements is a channel.
    """
    labels = {factor.label for factor in factors}
    mixed = CHANNELS in labels and len(labels) > 1 and labels <= {CHANNELS, GROUPS, ROWS, COLUMNS, POSITIONS}
    return axis(CHANNELS, size_of(factors)) if mixed else factors


def layout_by_hand(shape: tuple[int, ...], channels: int) -> Layout | None:
    """Return the layout of a tensor with this shape, [images, ...], whose axis `channels` holds its channels.

    A negative number counts from the end. Two other axes are rows and columns, one other axis is positions. None where
    the tensor has no such axis, or more than four axes.
    """
    rank = len(shape)
    if not 2 <= rank <= 4 or not -rank <= channels < rank or channels % rank == 0:
        return None
    rest = iter((ROWS, COLUMNS) if rank == 4 else (POSITIONS,))
    labels = [IMAGES, *(CHANNELS if position == channels % rank else next(rest) for position in range(1, rank))]
    return layout_of(tuple(axis(label, size) for label, size in zip(labels, shape, strict=True)), shape[0])
