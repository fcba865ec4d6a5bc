"""The axes of every tensor in a recorded forward: what each ATen function makes of those of its operands."""

from collections.abc import Callable, Sequence

from shapebias.precompute.models.flow.axes import (
    CHANNELS,
    COLUMNS,
    IMAGES,
    POSITIONS,
    ROWS,
    TOKENS,
    UNKNOWN,
    Axes,
    Axis,
    axis,
    cut,
    join_tokens,
    regroup,
    relabelled,
    resized,
    size_of,
    unknown,
)
from shapebias.precompute.models.flow.operations import CONVOLUTIONS
from shapebias.precompute.models.flow.recording import Operation, Recording, Value


def follow_axes(recording: Recording) -> dict[Value, Axes]:
    """Return the axes of every value that depends on the network's input [N, 3, H, W]."""
    known: dict[Value, Axes] = {}
    for operation in recording.operations:
        for value in operation.inputs:
            if value.depends and value.producer is None:
                known[value] = _of_images(value.shape)
        rule = RULES.get(operation.name, _alike)
        found = rule(operation, known)
        for position, value in enumerate(operation.outputs):
            axes = found[position] if position < len(found) else None
            fits = axes is not None and tuple(map(size_of, axes)) == value.shape
            known[value] = axes if axes is not None and fits else unknown(value.shape)
    return known


def _of_images(shape: Sequence[int]) -> Axes:
    labels = (IMAGES, CHANNELS, ROWS, COLUMNS) if len(shape) == 4 else (UNKNOWN,) * len(shape)
    return tuple(axis(label, size) for label, size in zip(labels, shape, strict=True))


# A rule gives the axes of each of an operation's outputs; None = unknown.

Known = dict[Value, Axes]
Found = list[Axes | None]


def _operand(operation: Operation, known: Known, position: int = 0) -> tuple[Value | None, Axes | None]:
    value = operation.argument(position, "input" if position == 0 else "other")
    if position == 0 and value is None:
        value = operation.options.get("self")
    return (value, known.get(value)) if isinstance(value, Value) else (None, None)


def _alike(operation: Operation, known: Known) -> Found:
    """Elementwise, norms, pooling, reductions that keep their axes: each axis is that of an operand, the first that
    fits from the right; else one of another size."""
    operands = [known[value] for value in operation.inputs if value in known]
    found: Found = []
    for output in operation.outputs:
        if not operands:
            found.append(None)
            continue
        same_rank = [axes for axes in operands if len(axes) == len(output.shape)]
        ranked = same_rank or operands
        axes = []
        for position in range(-len(output.shape), 0):
            size = output.shape[position]
            fitting = [
                given[position]
                for given in operands
                if len(given) >= -position and size_of(given[position]) == size and _is_known(given[position])
            ]
            if fitting:
                axes.append(fitting[0])
            elif same_rank:
                axes.append(resized(ranked[0][position], size))
            else:
                axes.append(axis(UNKNOWN, size))
        if not same_rank and len(output.shape) < len(operands[0]):
            found.append(_reduced(operation, operands[0], output.shape))
        else:
            found.append(tuple(axes))
    return found


def _is_known(factors: Axis) -> bool:
    return all(factor.label != UNKNOWN for factor in factors)


def _reduced(operation: Operation, axes: Axes, shape: tuple[int, ...]) -> Axes | None:
    """The axes of a sum, mean or maximum over some axes."""
    dims = operation.argument(1, "dim")
    dims = [dims] if isinstance(dims, int) else dims
    if not isinstance(dims, list | tuple) or not all(isinstance(dim, int) for dim in dims):
        return None
    gone = {dim % len(axes) for dim in dims}
    left = tuple(factors for position, factors in enumerate(axes) if position not in gone)
    return left if len(left) == len(shape) else None


def _convolution(operation: Operation, known: Known) -> Found:
    """[N, C, H, W], or with fewer or more spatial axes."""
    _, given = _operand(operation, known)
    shape = operation.output.shape
    spatial = {1: (POSITIONS,), 2: (ROWS, COLUMNS), 3: ("D", ROWS, COLUMNS)}.get(len(shape) - 2)
    if spatial is None or given is None:
        return [None]
    images = given[0] if size_of(given[0]) == shape[0] else axis(IMAGES, shape[0])
    named = zip(spatial, shape[2:], strict=True)
    return [(images, axis(CHANNELS, shape[1]), *(axis(label, size) for label, size in named))]


def _linear(operation: Operation, known: Known) -> Found:
    """All axes but the last, whose elements are new channels."""
    _, given = _operand(operation, known)
    if given is None:
        return [None]
    channels = axis(CHANNELS, operation.output.shape[-1])
    return [(*(relabelled(factors, CHANNELS, POSITIONS) for factors in given[:-1]), channels)]


def _matmul(operation: Operation, known: Known) -> Found:
    """Rows of the first operand, columns of the second; with a constant second operand as a linear layer."""
    _, one = _operand(operation, known, 0)
    second, other = _operand(operation, known, 1)
    shape = operation.output.shape
    if one is not None and second is not None and not second.depends:
        return [(*(relabelled(factors, CHANNELS, POSITIONS) for factors in one[:-1]), axis(CHANNELS, shape[-1]))]
    if other is None or len(other) != len(shape):
        return [None]
    if one is None or len(one) != len(shape):
        return [(*other[:-2], axis(UNKNOWN, shape[-2]), other[-1])]
    return [(*one[:-1], other[-1])]


def _addmm(operation: Operation, known: Known) -> Found:
    """bias + input @ weight: a linear layer."""
    given = known.get(operation.arguments[1])
    return [None if given is None else (given[0], axis(CHANNELS, operation.output.shape[-1]))]


def _attention(operation: Operation, known: Known) -> Found:
    """The queries' axes, with the values' channels."""
    query, value = (known.get(operation.argument(place, name)) for place, name in ((0, "query"), (2, "value")))
    return [None if query is None or value is None else (*query[:-1], value[-1])]


def _einsum(operation: Operation, known: Known) -> Found:
    """By the letters of its equation; letters that only constants have are new channels."""
    equation, operands = operation.arguments[0].replace(" ", ""), operation.arguments[1]
    if "->" not in equation or "." in equation:
        return [None]
    left, right = equation.split("->")
    meaning: dict[str, Axis] = {}
    for letters, operand in zip(left.split(","), operands, strict=True):
        for letter, factors in zip(letters, known.get(operand, ()), strict=False):
            meaning.setdefault(letter, factors)
    sizes = dict(zip(right, operation.output.shape, strict=True))
    return [tuple(meaning.get(letter, axis(CHANNELS, sizes[letter])) for letter in right)]


def _view(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    return [None if given is None else regroup(given, operation.output.shape)]


def _permute(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    if given is None:
        return [None]
    order = operation.argument(1, "dims")
    return [tuple(given[position] for position in order)]


def _transpose(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    if given is None:
        return [None]
    swapped = list(given)
    one = operation.argument(1, "dim0", -2)
    other = operation.argument(2, "dim1", -1)
    if len(given) > 1:
        swapped[one], swapped[other] = swapped[other], swapped[one]
    return [tuple(swapped)]


def _movedim(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    source, destination = operation.argument(1, "source"), operation.argument(2, "destination")
    if given is None or not isinstance(source, int) or not isinstance(destination, int):
        return [None]
    moved = list(given)
    moved.insert(destination % len(given), moved.pop(source))
    return [tuple(moved)]


def _unsqueeze(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    if given is None:
        return [None]
    position = operation.argument(1, "dim") % (len(given) + 1)
    return [(*given[:position], (), *given[position:])]


def _squeeze(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    return [None if given is None else regroup(given, operation.output.shape)]


def _expand(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    shape = operation.output.shape
    if given is None:
        return [None]
    full = ((),) * (len(shape) - len(given)) + given
    return [tuple(f if size_of(f) == size else axis(UNKNOWN, size) for f, size in zip(full, shape, strict=True))]


def _select(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    if given is None:
        return [None]
    position = operation.argument(1, "dim", 0) % len(given)
    left = (*given[:position], *given[position + 1 :])
    return [left for _ in operation.outputs]


def _slice(operation: Operation, known: Known) -> Found:
    value, given = _operand(operation, known)
    if given is None or value is None:
        return [None]
    position = operation.argument(1, "dim", 0) % len(given)
    size, step = value.shape[position], operation.argument(4, "step", 1)
    start, stop, _ = slice(operation.argument(2, "start"), operation.argument(3, "end"), step).indices(size)
    part = cut(given[position], start, stop, step)
    return [(*given[:position], part, *given[position + 1 :])]


def _narrow(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    if given is None:
        return [None]
    position, start = operation.arguments[1] % len(given), operation.arguments[2]
    part = cut(given[position], start, start + operation.arguments[3])
    return [(*given[:position], part, *given[position + 1 :])]


def _split(operation: Operation, known: Known) -> Found:
    _, given = _operand(operation, known)
    if given is None:
        return [None for _ in operation.outputs]
    position = operation.argument(2, "dim", 0) % len(given)
    found: Found = []
    start = 0
    for output in operation.outputs:
        stop = start + output.shape[position]
        found.append((*given[:position], cut(given[position], start, stop), *given[position + 1 :]))
        start = stop
    return found


def _cat(operation: Operation, known: Known) -> Found:
    """Channels beside channels; other tokens around positions."""
    operands = [value for value in operation.arguments[0] if isinstance(value, Value) and value.shape != (0,)]
    shape = operation.output.shape
    position = operation.argument(1, "dim", 0) % len(shape)
    images = [value for value in operands if value in known]
    if not images:
        return [None]
    main = max(images, key=lambda value: value.shape[position])
    axes = known[main]
    labels = {factor.label for value in images for factor in known[value][position]}
    if labels and labels <= {CHANNELS}:
        joined = axis(CHANNELS, shape[position])
    elif len(operands) > 1 and any(factor.label in (ROWS, COLUMNS, TOKENS) for factor in axes[position]):
        index = operands.index(main)
        before = sum(other.shape[position] for other in operands[:index])
        after = sum(other.shape[position] for other in operands[index + 1 :])
        joined = _tokens_around(axes[position], before, after)
    else:
        joined = resized(axes[position], shape[position])
    return [(*axes[:position], joined, *axes[position + 1 :])]


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


def _query(operation: Operation, known: Known) -> Found:
    given = known.get(operation.arguments[0])
    return [given, *(None for _ in operation.outputs[1:])]


RULES: dict[str, Callable[[Operation, Known], Found]] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(("linear", "linear_dynamic"), _linear),
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "addmm": _addmm,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "_native_multi_head_attention": _query,
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "_reshape_alias", "flatten", "unflatten"), _view),
    **dict.fromkeys(("reshape_as", "view_as"), _view),
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims", "t", "numpy_T", "mT", "adjoint"), _transpose),
    **dict.fromkeys(("movedim", "moveaxis"), _movedim),
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expand),
    **dict.fromkeys(("select", "unbind"), _select),
    "slice": _slice,
    "narrow": _narrow,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split"), _split),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
}
