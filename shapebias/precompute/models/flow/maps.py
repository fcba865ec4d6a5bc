"""How a layer's tensor holds its maps: which of its axes are channels, and which are rows and columns."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from shapebias.precompute.models.flow.axes import (
    CHANNELS,
    COLUMNS,
    IMAGES,
    POSITIONS,
    ROWS,
    TOKENS,
    Axes,
    Axis,
    Factor,
    axis,
    size_of,
)

_ORDER = (IMAGES, CHANNELS, ROWS, COLUMNS, POSITIONS)


@dataclass(frozen=True)
class Layout:
    """Turns a layer's tensor into maps [B, units, h, w], and back. `axes` are those of the tensor of a batch of `batch`
    images (see `flow.axes`), None for [B, units, h, w]."""

    axes: Axes | None = None
    batch: int = 0

    def maps(self, tensor: Tensor) -> Tensor:
        """The maps [B, units, h, w] in a tensor, in the order of the image's rows and columns: a view where that is
        possible. Tokens that belong to no position are left out.

        Raises ValueError where the tensor is that of an image of another size, and its axes are cut for one size.
        """
        if self.axes is None:
            return tensor
        ordered = self._ordered(tensor)
        return ordered.reshape(_grouped(zip(self._order, ordered.shape, strict=True)))

    def restore(self, maps: Tensor, tensor: Tensor) -> Tensor:
        """A tensor such as the given one, with other maps in it."""
        if self.axes is None:
            return maps
        changed = tensor.clone(memory_format=torch.contiguous_format)
        ordered = self._ordered(changed)
        ordered.copy_(maps.reshape(ordered.shape))
        return changed

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the maps of the batch that the axes are of."""
        return _grouped((factor, factor.size) for factor in self._factors)

    @cached_property
    def _factors(self) -> list[Factor]:
        """The factors of all axes in the order of the tensor; for an axis of one element one of that size."""
        assert self.axes is not None
        whole = [factor for one in self.axes for factor in one or (Factor(POSITIONS, 1),)]
        return [factor for outer in whole for factor in outer.inner or (outer,)]

    @cached_property
    def _order(self) -> list[Factor]:
        return sorted(self._factors, key=_in_order)

    def _ordered(self, tensor: Tensor) -> Tensor:
        """A view of the tensor with an axis a factor, in their order."""
        assert self.axes is not None
        order = sorted(range(len(self._factors)), key=lambda index: _in_order(self._factors[index]))
        tokens = [(position, one[0]) for position, one in enumerate(self.axes) if one and one[0].label == TOKENS]
        if len(self._factors) == len(self.axes) and not tokens:
            return tensor.permute(order)
        if tensor.shape[1:] != tuple(map(size_of, self.axes[1:])) and len(self.axes[0]) == 1:
            raise ValueError(f"a tensor of {list(tensor.shape)}, not of the size that the network was traced with")
        images = tensor.numel() * self.batch // math.prod(map(size_of, self.axes))
        for position, factor in tokens:
            tensor = tensor.narrow(position, factor.before, size_of(factor.inner))
        sizes = [images if factor.label == IMAGES else factor.size for factor in self._factors]
        return tensor.reshape(sizes).permute(order)


def _in_order(factor: Factor) -> tuple[int, int]:
    """Positions in the order of the image; channels in the order of the tensor, shuffled or not."""
    return _ORDER.index(factor.label), 0 if factor.label == CHANNELS else -factor.stride


def _grouped(sizes: Iterable[tuple[Factor, int]]) -> tuple[int, int, int, int]:
    """The shape [B, units, h, w] that factors of these sizes make."""
    grouped = dict.fromkeys(_ORDER, 1)
    for factor, size in sizes:
        grouped[factor.label] *= size
    return grouped[IMAGES], grouped[CHANNELS], grouped[ROWS], grouped[COLUMNS] * grouped[POSITIONS]


CHANNELS_FIRST = Layout()


def layout_of(axes: Axes, batch: int) -> Layout | None:
    """The layout of a tensor with these axes; None where it cannot be told which of them are channels."""
    axes = tuple(map(_as_channels, axes))
    factors = [factor for one in axes for outer in one for factor in outer.inner or (outer,)]
    labels = {factor.label for factor in factors}
    if not labels <= set(_ORDER) or [factor.size for factor in factors if factor.label == IMAGES] != [batch]:
        return None
    plain = [{IMAGES}, {CHANNELS}, {ROWS}, {COLUMNS}]
    meanings = [{factor.label for factor in one} for one in axes]
    if len(axes) == 4 and all(meaning <= one for meaning, one in zip(meanings, plain, strict=True)):
        return CHANNELS_FIRST
    return Layout(axes, batch)


def _as_channels(factors: Axis) -> Axis:
    """An axis of channels and pixels, as space-to-depth makes them: each of its elements is a channel."""
    labels = {factor.label for factor in factors}
    mixed = CHANNELS in labels and len(labels) > 1 and labels <= {CHANNELS, ROWS, COLUMNS, POSITIONS}
    return axis(CHANNELS, size_of(factors)) if mixed else factors


def layout_by_hand(shape: tuple[int, ...], channels: int) -> Layout | None:
    """The layout of a tensor [images, ...] whose channels are at the axis `channels`, counted from the end where it is
    negative; of the others two are rows and columns, one positions. None where the tensor has no such axes."""
    rank = len(shape)
    if not 2 <= rank <= 4 or not -rank <= channels < rank or channels % rank == 0:
        return None
    rest = iter((ROWS, COLUMNS) if rank == 4 else (POSITIONS,))
    labels = [IMAGES, *(CHANNELS if place == channels % rank else next(rest) for place in range(1, rank))]
    return layout_of(tuple(axis(label, size) for label, size in zip(labels, shape, strict=True)), shape[0])
