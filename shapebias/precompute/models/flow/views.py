"""The effect of views on axes: functions that move, split, join or select elements without changing them."""

from collections.abc import Callable, Sequence

from shapebias.precompute.models.flow.axes import (
    CHANNELS,
    COLUMNS,
    ROWS,
    TOKENS,
    UNKNOWN,
    Axes,
    Axis,
    axis,
    cut,
    is_on_map,
    join_tokens,
    labels_of,
    regroup,
    resized,
    rolled,
    size_of,
    unknown,
)
from shapebias.precompute.models.flow.recording import Operation, Value

Known = dict[Value, Axes]
Found = list[Axes | None]  # the axes of each output, None where they are unknown
Rule = Callable[[Operation, Axes], Axes | None]


def operand(operation: Operation, known: Known, position: int = 0) -> tuple[Value | None, Axes | None]:
    """Return the operand at `position` (0 or 1) and its axes.

    Both are None where it is no tensor; the axes alone are None where `known` does not have them.
    """
    value = operation.argument(position, "input" if position == 0 else "other")
    if position == 0 and value is None:
        value = operation.options.get("self")
    return (value, known.get(value)) if isinstance(value, Value) else (None, None)


def _of_one(rule: Rule) -> Callable[[Operation, Known], Found]:
    """Return the rule of a function with one operand and one output, from a function of that operand's axes."""

    def axes_of_output(operation: Operation, known: Known) -> Found:
        _, given = operand(operation, known)
        return [None if given is None else rule(operation, given)]

    return axes_of_output


def _view(operation: Operation, given: Axes) -> Axes:
    """Return the axes of a view that has the output's shape.

    Where an axis cannot be split like that, only the first axes, as far as their sizes stay the same, are known.
    """
    shape = operation.output.shape
    axes = regroup(given, shape)
    if axes is not None:
        return axes
    alike = 0
    while alike < min(len(given), len(shape)) and size_of(given[alike]) == shape[alike]:
        alike += 1
    return (*given[:alike], *unknown(shape[alike:]))


def _permute(operation: Operation, given: Axes) -> Axes:
    return tuple(given[position] for position in operation.argument(1, "dims"))


def _transpose(operation: Operation, given: Axes) -> Axes:
    swapped = list(given)
    one = operation.argument(1, "dim0", operation.options.get("axis0", -2))
    other = operation.argument(2, "dim1", operation.options.get("axis1", -1))
    if len(given) > 1:
        swapped[one], swapped[other] = swapped[other], swapped[one]
    return tuple(swapped)


def _reversed(operation: Operation, given: Axes) -> Axes:
    return given[::-1]


def _movedim(operation: Operation, given: Axes) -> Axes:
    sources, destinations = (_several(operation.argument(position, name)) for position, name in _MOVES)
    moved = {to % len(given): given[start % len(given)] for start, to in zip(sources, destinations, strict=True)}
    gone = {start % len(given) for start in sources}
    rest = (factors for position, factors in enumerate(given) if position not in gone)
    return tuple(moved[position] if position in moved else next(rest) for position in range(len(given)))


_MOVES = ((1, "source"), (2, "destination"))


def _several(numbers: int | Sequence[int]) -> Sequence[int]:
    return [numbers] if isinstance(numbers, int) else numbers


def _unsqueeze(operation: Operation, given: Axes) -> Axes:
    position = operation.argument(1, "dim") % (len(given) + 1)
    return (*given[:position], (), *given[position:])


def _expand(operation: Operation, given: Axes) -> Axes:
    """Return the axes after axes of one element, or new ones, became longer: the meaning of these is unknown."""
    shape = operation.output.shape
    full = ((),) * (len(shape) - len(given)) + given
    return tuple(f if size_of(f) == size else axis(UNKNOWN, size) for f, size in zip(full, shape, strict=True))


def _repeat(operation: Operation, given: Axes) -> Axes:
    """Return the axes of a tensor repeated as a whole: repeated channels are channels, other repeated axes unknown."""
    shape = operation.output.shape
    full = ((),) * (len(shape) - len(given)) + given
    return tuple(_rearranged(factors, size) for factors, size in zip(full, shape, strict=True))


def _rearranged(factors: Axis, size: int, moved: bool = False) -> Axis:
    """Return the axis of `size` elements taken from another one: only channels keep their meaning.

    An axis that has its size and order (not `moved`) is returned unchanged.
    """
    if size_of(factors) == size and not moved:
        return factors
    return axis(CHANNELS if labels_of(factors) == {CHANNELS} else UNKNOWN, size)


def _repeat_interleave(operation: Operation, given: Axes) -> Axes | None:
    """Return the axes of a tensor each of whose elements is repeated, as in nearest-neighbour upsampling.

    Positions and channels keep their meaning. Returns None where the result has another number of axes.
    """
    shape = operation.output.shape
    if len(shape) != len(given):
        return None
    return tuple(
        resized(factors, size) if is_on_map(factors) else _rearranged(factors, size)
        for factors, size in zip(given, shape, strict=True)
    )


def _flip(operation: Operation, given: Axes) -> Axes:
    return _with_others(operation, given, operation.argument(1, "dims"))


def _index_select(operation: Operation, given: Axes) -> Axes:
    return _with_others(operation, given, [operation.argument(1, "dim")])


def _index(operation: Operation, given: Axes) -> Axes | None:
    """Return the axes of a result whose elements along one axis are selected by a list of numbers: x[:, [2, 0]].

    Returns None for any other way of indexing.
    """
    dimensions = [dimension for dimension, index in enumerate(operation.arguments[1]) if index is not None]
    if len(dimensions) != 1 or len(operation.arguments[1][dimensions[0]].shape) != 1:
        return None
    return _with_others(operation, given, dimensions)


def _with_others(operation: Operation, given: Axes, dims: Sequence[int]) -> Axes:
    """Return the axes after elements along the axes `dims` were reordered or selected."""
    changed = list(given)
    for dim in dims:
        changed[dim] = _rearranged(given[dim], operation.output.shape[dim], moved=True)
    return tuple(changed)


def _roll(operation: Operation, given: Axes) -> Axes | None:
    steps, dims = operation.argument(1, "shifts"), operation.argument(2, "dims", ())
    if not dims:
        return None
    changed = list(given)
    for step, dim in zip(_several(steps), _several(dims), strict=True):
        changed[dim] = rolled(changed[dim], step)
    return tuple(changed)


def _select(operation: Operation, known: Known) -> Found:
    _, given = operand(operation, known)
    if given is None:
        return [None]
    position = operation.argument(1, "dim", 0) % len(given)
    left = (*given[:position], *given[position + 1 :])
    return [left for _ in operation.outputs]


def _slice(operation: Operation, given: Axes) -> Axes:
    position = operation.argument(1, "dim", 0) % len(given)
    size, step = size_of(given[position]), operation.argument(4, "step", 1)
    start, stop, _ = slice(operation.argument(2, "start"), operation.argument(3, "end"), step).indices(size)
    return _part(given, position, cut(given[position], start, stop, step))


def _narrow(operation: Operation, given: Axes) -> Axes:
    position, start = operation.arguments[1] % len(given), operation.arguments[2]
    return _part(given, position, cut(given[position], start, start + operation.arguments[3]))


def _part(axes: Axes, position: int, part: Axis) -> Axes:
    return (*axes[:position], part, *axes[position + 1 :])


def _split(operation: Operation, known: Known) -> Found:
    _, given = operand(operation, known)
    if given is None:
        return [None for _ in operation.outputs]
    position = operation.argument(2, "dim", 0) % len(given)
    parts: Found = []
    start = 0
    for output in operation.outputs:
        stop = start + output.shape[position]
        parts.append(_part(given, position, cut(given[position], start, stop)))
        start = stop
    return parts


def _cat(operation: Operation, known: Known) -> Found:
    """Return the axes of a concatenation: channels beside channels, or other tokens around positions.

    Tensors that do not depend on the input, such as class tokens, have no known axes.
    """
    operands = [value for value in operation.arguments[0] if isinstance(value, Value) and value.shape != (0,)]
    shape = operation.output.shape
    position = operation.argument(1, "dim", 0) % len(shape)
    images = [value for value in operands if value in known]
    if not images:
        return [None]
    main = max(images, key=lambda value: (is_on_map(known[value][position]), value.shape[position]))
    factors = known[main][position]
    others = [known[value][position] for value in images if value is not main]
    if labels_of(factors) == {CHANNELS} and all(labels_of(other) <= {CHANNELS} for other in others):
        joined = axis(CHANNELS, shape[position])
    elif is_on_map(factors) and len(operands) > 1:
        index = operands.index(main)
        before = sum(other.shape[position] for other in operands[:index])
        after = sum(other.shape[position] for other in operands[index + 1 :])
        joined = _tokens_around(factors, before, after)
        if any(is_on_map(other) for other in others):
            joined = axis(UNKNOWN, shape[position])  # positions of two maps
    else:
        joined = resized(factors, shape[position])
    return [_part(known[main], position, joined)]


def _tokens_around(factors: Axis, before: int, after: int) -> Axis:
    if len(factors) == 1 and factors[0].label == TOKENS:
        return join_tokens(factors[0].inner, before + factors[0].before, after + factors[0].after)
    return join_tokens(factors, before, after)


def _stack(operation: Operation, known: Known) -> Found:
    operands = [value for value in operation.arguments[0] if value in known]
    if not operands:
        return [None]
    given = known[operands[0]]
    position = operation.argument(1, "dim", 0) % (len(given) + 1)
    return [(*given[:position], axis(UNKNOWN, operation.output.shape[position]), *given[position:])]


def _im2col(operation: Operation, given: Axes) -> Axes | None:
    """Return the axes of [N, C, H, W] cut into windows, [N, C x window, windows].

    Windows that lie side by side, without gap, overlap, padding or dilation, only move pixels: the axes keep their
    meaning. Other windows make new channels, and the last axis is the rows and columns of windows.
    """
    window, dilation, padding, stride = (list(_several(number)) * 2 for number in operation.arguments[1:5])
    sizes = [size_of(side) for side in given[2:]]
    if window[:2] == stride[:2] and not any(padding) and set(dilation) == {1}:
        rows, columns = (size // step for size, step in zip(sizes, stride, strict=False))
        split = regroup(given, (*map(size_of, given[:2]), rows, window[0], columns, window[1]))
        if split is not None:
            images, channels, row, y, column, x = split
            return images, channels + y + x, row + column
    counts = [
        (size + 2 * pad - step * (width - 1) - 1) // by + 1
        for size, pad, step, width, by in zip(sizes, padding, dilation, window, stride, strict=False)
    ]
    return given[0], axis(CHANNELS, operation.output.shape[1]), axis(ROWS, counts[0]) + axis(COLUMNS, counts[1])


def _col2im(operation: Operation, given: Axes) -> Axes:
    _, channels, height, width = operation.output.shape
    return given[0], axis(CHANNELS, channels), axis(ROWS, height), axis(COLUMNS, width)


def _unfold(operation: Operation, given: Axes) -> Axes | None:
    """Return the axes after one axis was cut into windows: windows in its place, and elements of a window as last axis.

    Windows that cover the axis side by side only move elements, and the meaning stays; that of others is unknown.
    """
    position, size, step = operation.arguments[1] % len(given), *operation.arguments[2:4]
    length = size_of(given[position])
    split = None
    if size == step and length % size == 0:
        split = regroup((given[position],), (length // size, size))
    windows, inside = split or unknown((operation.output.shape[position], size))
    return (*_part(given, position, windows), inside)


def _pixel_shuffle(operation: Operation, given: Axes) -> Axes | None:
    """Return the axes after channels became pixels or pixels became channels.

    Returns None where the operand is not [N, C, H, W], or where its rows or columns are products of several factors.
    """
    if len(given) != 4 or any(len(side) > 1 for side in given[2:]):
        return None
    _, channels, height, width = operation.output.shape
    return given[0], axis(CHANNELS, channels), resized(given[2], height), resized(given[3], width)


RULES: dict[str, Callable[[Operation, Known], Found]] = {
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "_reshape_alias", "flatten", "unflatten"), _of_one(_view)),
    **dict.fromkeys(("reshape_as", "view_as", "squeeze"), _of_one(_view)),
    "permute": _of_one(_permute),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims", "t", "mT", "adjoint"), _of_one(_transpose)),
    "numpy_T": _of_one(_reversed),
    **dict.fromkeys(("movedim", "moveaxis"), _of_one(_movedim)),
    "unsqueeze": _of_one(_unsqueeze),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _of_one(_expand)),
    **dict.fromkeys(("repeat", "tile"), _of_one(_repeat)),
    "repeat_interleave": _of_one(_repeat_interleave),
    "flip": _of_one(_flip),
    "index_select": _of_one(_index_select),
    "index": _of_one(_index),
    "roll": _of_one(_roll),
    **dict.fromkeys(("select", "unbind"), _select),
    "slice": _of_one(_slice),
    "narrow": _of_one(_narrow),
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split"), _split),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
    "im2col": _of_one(_im2col),
    "col2im": _of_one(_col2im),
    "unfold": _of_one(_unfold),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _of_one(_pixel_shuffle)),
}
