"""What the axes of tensors mean, followed through a recorded forward.

Each axis is a product of factors, the slowest first: images (N), channels (C), rows and columns of the map (H, W),
other positions (P). A view that splits, joins or moves axes only moves factors, so that windows, tokens and heads can
be put back where they came from. Tokens before or behind the positions (class and register tokens) are counted, not
mixed with them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

IMAGES, CHANNELS, ROWS, COLUMNS, POSITIONS, TOKENS, UNKNOWN = "N", "C", "H", "W", "P", "T", "?"


@dataclass(frozen=True)
class Factor:
    """`size` steps along what `label` names, `stride` of the whole apart. Of label TOKENS: `inner` are the factors of
    its positions, with `before` and `after` other tokens around them."""

    label: str
    size: int
    stride: int = 1
    before: int = 0
    after: int = 0
    inner: "tuple[Factor, ...]" = ()


Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


def axis(label: str, size: int) -> Axis:
    """An axis of one factor; of none where its size is 1."""
    return (Factor(label, size),) if size != 1 else ()


def size_of(factors: Sequence[Factor]) -> int:
    """The number of elements along an axis."""
    return math.prod(factor.size for factor in factors)


def unknown(shape: Sequence[int]) -> Axes:
    """The axes of a tensor that nothing is known of."""
    return tuple(axis(UNKNOWN, size) for size in shape)


def resized(factors: Axis, size: int) -> Axis:
    """An axis with another number of elements along the same: pooled, cut, padded."""
    if size_of(factors) == size:
        return factors
    labels = {factor.label for factor in factors}
    if len(labels) == 1 and TOKENS not in labels:
        return axis(next(iter(labels)), size)
    return axis(POSITIONS if labels and labels <= {ROWS, COLUMNS, POSITIONS, TOKENS} else UNKNOWN, size)


def cut(factors: Axis, start: int, stop: int, step: int = 1) -> Axis:
    """The axis of the elements from `start` to `stop`. Of tokens, the positions stay as long as all are within."""
    size = len(range(start, stop, step))
    if len(factors) == 1 and factors[0].label == TOKENS and step == 1:
        tokens = factors[0]
        first, last = tokens.before, tokens.size - tokens.after
        if start <= first and last <= stop:
            return join_tokens(tokens.inner, first - start, stop - last)
    return resized(factors, size)


def join_tokens(inner: Axis, before: int, after: int) -> Axis:
    """The axis of positions with other tokens around them."""
    if before == after == 0:
        return inner
    return (Factor(TOKENS, before + size_of(inner) + after, 1, before, after, inner),)


def regroup(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """The axes of a tensor after a view as `shape`; None where an axis is cut where its factors cannot be."""
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
    """An axis whose neighbouring factors are one where they step through the same without a gap."""
    merged: list[Factor] = []
    for factor in factors:
        last = merged[-1] if merged else None
        if last is not None and last.label == factor.label != TOKENS and last.stride == factor.stride * factor.size:
            merged[-1] = replace(factor, size=last.size * factor.size)
        else:
            merged.append(factor)
    return tuple(merged)


def relabelled(factors: Axis, old: str, new: str) -> Axis:
    """An axis with another meaning of one kind of its factors."""
    return tuple(replace(factor, label=new) if factor.label == old else factor for factor in factors)
