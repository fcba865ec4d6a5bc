"""The meaning of the axes of tensors, followed through a recorded forward.

Each axis is a product of factors, slowest first: images (N), channels (C), rows and columns of the map (H, W), other
positions (P), and items that a layer was applied to separately, such as heads (G). A view that splits, joins or moves
axes only moves factors, so windows, tokens and heads can be put back in their places. Tokens before or behind the
positions (class and register tokens) are counted, not mixed with them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

IMAGES, CHANNELS, GROUPS, ROWS, COLUMNS, POSITIONS, TOKENS, UNKNOWN = "N", "C", "G", "H", "W", "P", "T", "?"
_ON_A_MAP = frozenset((ROWS, COLUMNS, POSITIONS))


@dataclass(frozen=True)
class Factor:
    """`size` steps along the dimension `label`.

    stride:         distance of steps in that dimension
    shift:          by how many elements the dimension is rolled towards its end, as by `torch.roll`
    whole:          length of the dimension where it is rolled; else 0
    before, after:  for label TOKENS: the number of other tokens before and behind the positions
    inner:          for label TOKENS: the factors of the positions
    """

    label: str
    size: int
    stride: int = 1
    shift: int = 0
    whole: int = 0
    before: int = 0
    after: int = 0
    inner: "tuple[Factor, ...]" = ()


Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


def axis(label: str, size: int) -> Axis:
    """Return an axis with one factor; with none where its size is 1."""
    return (Factor(label, size),) if size != 1 else ()


def size_of(factors: Sequence[Factor]) -> int:
    """Return the number of elements along an axis."""
    return math.prod(factor.size for factor in factors)


def unknown(shape: Sequence[int]) -> Axes:
    """Return the axes of a tensor with unknown meaning."""
    return tuple(axis(UNKNOWN, size) for size in shape)


def labels_of(factors: Sequence[Factor]) -> set[str]:
    """Return the labels of an axis's factors, those inside its tokens included."""
    return {factor.label for outer in factors for factor in outer.inner or (outer,)}


def is_on_map(factors: Sequence[Factor]) -> bool:
    """Return whether an axis consists only of positions of the map."""
    return bool(factors) and labels_of(factors) <= _ON_A_MAP


def resized(factors: Axis, size: int) -> Axis:
    """Return an axis of the same meaning with `size` elements: pooled, cut, padded.

    Its meaning is unknown where the elements are tokens, are rolled or mix several dimensions that are not of the map.
    """
    length, labels = size_of(factors), {factor.label for factor in factors}
    if length == size:
        return factors
    if TOKENS in labels or any(factor.shift for factor in factors):
        return axis(UNKNOWN, size)
    if len(factors) == 1 and 1 < size < length and length % size == 0:
        return (replace(factors[0], size=size, stride=factors[0].stride * length // size),)
    if len(labels) == 1:
        return axis(next(iter(labels)), size)
    return axis(POSITIONS if is_on_map(factors) else UNKNOWN, size)


def cut(factors: Axis, start: int, stop: int, step: int = 1) -> Axis:
    """Return the axis of every `step`-th element from `start` to before `stop`.

    Of tokens, a part without gaps that has all positions is these positions, with the other tokens left around them.
    The meaning of other parts of tokens is unknown.
    """
    size = len(range(start, stop, step))
    if len(factors) == 1 and factors[0].label == TOKENS and step == 1:
        tokens = factors[0]
        first, last = tokens.before, tokens.size - tokens.after
        if start <= first and last <= stop:
            return join_tokens(tokens.inner, first - start, stop - last)
        if stop <= first or last <= start:
            return axis(UNKNOWN, size)
    return resized(factors, size)


def rolled(factors: Axis, steps: int) -> Axis:
    """Return the axis after `torch.roll` by `steps`: elements move towards the end, the last ones to the start.

    Rolled channels stay channels. Positions can be followed only where they are one factor, the whole dimension; the
    meaning of other axes becomes unknown.
    """
    size = size_of(factors)
    if labels_of(factors) <= {CHANNELS} or size == 1:
        return factors
    if len(factors) == 1 and factors[0].label in _ON_A_MAP and factors[0].whole in (0, size):
        shift = (factors[0].shift + steps) % size
        return (replace(factors[0], shift=shift, whole=size if shift else 0),)
    return axis(UNKNOWN, size)


def join_tokens(inner: Axis, before: int, after: int) -> Axis:
    """Return the axis of the positions `inner` with so many other tokens before and after them; `inner` without any."""
    if before == after == 0:
        return inner
    return (Factor(TOKENS, before + size_of(inner) + after, before=before, after=after, inner=inner),)


def regroup(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """Return the axes of a tensor after a view as `shape`; None where that splits a factor unevenly, or tokens."""
    waiting = [factor for factors in axes for factor in factors][::-1]
    grouped = []
    for size in shape:
        factors: list[Factor] = []
        while (missing := size // max(size_of(factors), 1)) > 1:
            if not waiting or size % size_of(factors):
                return None
            factor = waiting.pop()
            if factor.size > missing:
                if factor.size % missing or factor.label == TOKENS:
                    return None
                minor = factor.size // missing
                waiting.append(replace(factor, size=minor))
                factor = replace(factor, size=missing, stride=factor.stride * minor)
            factors.append(factor)
        if size_of(factors) != size:
            return None
        grouped.append(_merged(factors))
    return None if waiting else tuple(grouped)


def _merged(factors: Sequence[Factor]) -> Axis:
    """Return an axis in which neighbouring factors are merged where they step through the same dimension without
    a gap.
    """
    merged: list[Factor] = []
    for factor in factors:
        last = merged[-1] if merged else None
        alike = last is not None and (last.label, last.shift) == (factor.label, factor.shift) and not factor.inner
        if last is not None and alike and last.stride == factor.stride * factor.size:
            merged[-1] = replace(factor, size=last.size * factor.size)
        else:
            merged.append(factor)
    return tuple(merged)


def relabelled(factors: Axis, old: str, new: str) -> Axis:
    """Return an axis in which factors with the label `old` get the label `new`."""
    return tuple(replace(factor, label=new) if factor.label == old else factor for factor in factors)
