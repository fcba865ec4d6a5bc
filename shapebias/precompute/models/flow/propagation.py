"""Computes the axes of every tensor in a recorded forward: one rule for each ATen function."""

from collections.abc import Callable, Sequence
from itertools import zip_longest

from shapebias.precompute.models.flow import views
from shapebias.precompute.models.flow.axes import (
    CHANNELS,
    COLUMNS,
    GROUPS,
    IMAGES,
    POSITIONS,
    ROWS,
    UNKNOWN,
    Axes,
    Axis,
    axis,
    is_on_map,
    labels_of,
    relabelled,
    resized,
    size_of,
    unknown,
)
from shapebias.precompute.models.flow.operations import ALIKE, CONVOLUTIONS, REDUCTIONS
from shapebias.precompute.models.flow.recording import Operation, Recording, Value
from shapebias.precompute.models.flow.views import Found, Known, operand


def follow_axes(recording: Recording) -> dict[Value, Axes]:
    """Return the axes of every value that depends on the network's input [N, 3, H, W]."""
    known: Known = {}
    for operation in recording.operations:
        for value in operation.inputs:
            if value.depends and value.producer is None:
                known[value] = _of_images(value.shape)
        rule = RULES.get(operation.name) or (_alike if operation.name in ALIKE else _nothing)
        results = rule(operation, known)
        for value, axes in zip_longest(operation.outputs, results[: len(operation.outputs)]):
            if axes is None or tuple(map(size_of, axes)) != value.shape:
                axes = unknown(value.shape)
            known[value] = axes
        if operation.name in CONVOLUTIONS and operation.outputs:
            known[operation.output] = _of_batch(known[operation.output], recording.batch)
    return known


def _of_images(shape: Sequence[int]) -> Axes:
    labels = (IMAGES, CHANNELS, ROWS, COLUMNS) if len(shape) == 4 else (UNKNOWN,) * len(shape)
    return tuple(axis(label, size) for label, size in zip(labels, shape, strict=True))


def _of_batch(axes: Axes, batch: int) -> Axes:
    """Return the axes of a convolution's output; a first axis that is unknown, but as long as the batch, is images."""
    lost = labels_of(axes[0]) == {UNKNOWN} and size_of(axes[0]) == batch
    return (axis(IMAGES, batch), *axes[1:]) if lost else axes


def _nothing(operation: Operation, known: Known) -> Found:
    return [None for _ in operation.outputs]


def _alike(operation: Operation, known: Known) -> Found:
    """Return the axes for elementwise functions, norms, pooling and reductions.

    They are those of the first operand of the output's shape whose axes are all known. Otherwise they are found one by
    one, counted from the last: an operand's axis of the same length, else one of another length, resized.
    """
    operands = [known[value] for value in operation.inputs if value in known]
    return [_of_operands(operation, operands, output.shape) if operands else None for output in operation.outputs]


def _of_operands(operation: Operation, operands: list[Axes], shape: tuple[int, ...]) -> Axes | None:
    of_shape = [axes for axes in operands if tuple(map(size_of, axes)) == shape]
    whole = next((axes for axes in of_shape if all(map(_is_known, axes))), None)
    if whole is not None:
        return whole
    if operation.name in REDUCTIONS and len(shape) < len(operands[0]):
        return _reduced(operation, operands[0], shape)
    same_rank = [axes for axes in operands if len(axes) == len(shape)]
    result = []
    for dimension in range(-len(shape), 0):
        fitting = [
            axes[dimension]
            for axes in operands
            if len(axes) >= -dimension and size_of(axes[dimension]) == shape[dimension]
        ]
        best = sorted(fitting, key=lambda factors: not _is_known(factors))
        otherwise = resized(same_rank[0][dimension], shape[dimension]) if same_rank else axis(UNKNOWN, shape[dimension])
        result.append(best[0] if best else otherwise)
    return tuple(result)


def _is_known(factors: Axis) -> bool:
    return not labels_of(factors) & {UNKNOWN, GROUPS}


def _reduced(operation: Operation, axes: Axes, shape: tuple[int, ...]) -> Axes | None:
    """Return the axes that a sum, mean or maximum leaves of `axes`; None where it is not known over which it goes."""
    dims = operation.argument(2 if "norm" in operation.name else 1, "dim")
    dims = [dims] if isinstance(dims, int) else dims
    if not isinstance(dims, list | tuple) or not all(isinstance(dim, int) for dim in dims):
        return None
    gone = {dim % len(axes) for dim in dims}
    left = tuple(factors for position, factors in enumerate(axes) if position not in gone)
    return left if len(left) == len(shape) else None


def _convolution(operation: Operation, known: Known) -> Found:
    """Return the axes of a convolution: [N, C, H, W], or with one or three spatial axes; None without known input."""
    _, given = operand(operation, known)
    shape, weights = operation.output.shape, operation.argument(1, "weight")
    spatial = {1: (POSITIONS,), 2: (ROWS, COLUMNS), 3: ("D", ROWS, COLUMNS)}.get(len(shape) - 2)
    if spatial is None or given is None or not isinstance(weights, Value) or len(weights.shape) != len(shape):
        return [None]
    images = given[0] if size_of(given[0]) == shape[0] else axis(IMAGES, shape[0])
    sides = (_side(*of_side) for of_side in zip(given[2:], shape[2:], spatial, strict=True))
    return [(images, _channels(given[1], shape[1], operation), *sides)]


def _channels(given: Axis, size: int, operation: Operation) -> Axis:
    """Return the axis of a convolution's output channels, `size` of them, by that of its input channels.

    A grouped convolution may have all images of the batch in its channels: then these stay images times channels.
    """
    groups = operation.argument(8 if operation.name.endswith("convolution") else 6, "groups", 1)
    if given and given[0].label == IMAGES and isinstance(groups, int) and groups % given[0].size == 0:
        return (given[0], *axis(CHANNELS, size // given[0].size))
    return axis(CHANNELS, size)


def _side(given: Axis, size: int, label: str) -> Axis:
    """Return the axis of `size` elements that a convolution's kernel makes of an axis along which it moved.

    An axis of the map is resized (see `resized`); channels, groups or images become unknown; any other gets `label`.
    """
    if labels_of(given) & {CHANNELS, GROUPS, IMAGES}:
        return axis(UNKNOWN, size)
    return resized(given, size) if is_on_map(given) else axis(label, size)


def _linear(operation: Operation, known: Known) -> Found:
    """Return the axes for a linear layer: all but the last stay; the elements of the last are new channels."""
    _, given = operand(operation, known)
    return [None if given is None else _times_weights(given, operation.output.shape[-1])]


def _times_weights(given: Axes, size: int) -> Axes:
    """Return the axes of a tensor whose last axis was multiplied by a matrix of weights.

    The last axis becomes new channels. If another axis was channels, it is now only an axis along which a layer was
    repeated.
    """
    return (*(relabelled(factors, CHANNELS, GROUPS) for factors in given[:-1]), axis(CHANNELS, size))


def _matmul(operation: Operation, known: Known) -> Found:
    """Return the axes of a matrix product: the rows of the first operand, the columns of the second.

    With a constant second operand they are those of a linear layer; with a constant first one, channels times weights
    are new channels.
    """
    _, one = operand(operation, known, 0)
    second, other = operand(operation, known, 1)
    shape = operation.output.shape
    if one is not None and second is not None and not second.depends:
        return [_times_weights(one, shape[-1])]
    if other is None or len(other) != len(shape):
        return [None]
    if one is None or len(one) != len(shape):
        rows = CHANNELS if labels_of(other[-2]) == {CHANNELS} else UNKNOWN
        return [(*other[:-2], axis(rows, shape[-2]), other[-1])]
    return [(*_first_known(one[:-2], other[:-2]), one[-2], other[-1])]


def _first_known(axes: Axes, others: Axes) -> Axes:
    """Return, axis by axis, that of `axes` if it is known and not shorter, else that of `others`."""
    pairs = zip(axes, others, strict=True)
    return tuple(one if _is_known(one) and size_of(one) >= size_of(other) else other for one, other in pairs)


def _addmm(operation: Operation, known: Known) -> Found:
    """Return the axes of bias + input @ weight, a linear layer."""
    given = known.get(operation.arguments[1])
    return [None if given is None else _times_weights(given, operation.output.shape[-1])]


def _attention(operation: Operation, known: Known) -> Found:
    """Return the axes of attention: those of the queries, with the channels of the values."""
    query, value = (known.get(operation.argument(position, name)) for position, name in ((0, "query"), (2, "value")))
    if query is None or value is None or len(query) != len(value):
        return [None]
    return [(*_first_known(query[:-2], value[:-2]), query[-2], value[-1])]


def _einsum(operation: Operation, known: Known) -> Found:
    """Return the axes by the letters of the equation; letters that only constants have are new channels where channels
    are summed.
    """
    equation, operands = operation.arguments[0].replace(" ", ""), operation.arguments[1]
    if "->" not in equation or "." in equation:
        return [None]
    left, right = equation.split("->")
    meaning: dict[str, Axis] = {}
    for letters, value in zip(left.split(","), operands, strict=True):
        for letter, factors in zip(letters, known.get(value, ()), strict=False):
            meaning.setdefault(letter, factors)
    summed = set().union(*(labels_of(factors) for letter, factors in meaning.items() if letter not in right))
    new = CHANNELS if summed == {CHANNELS} else UNKNOWN
    sizes = dict(zip(right, operation.output.shape, strict=True))
    return [tuple(meaning.get(letter, axis(new, sizes[letter])) for letter in right)]


def _copy(operation: Operation, known: Known) -> Found:
    """Return the axes of the copied tensor if it fills the whole target, else those that `_alike` finds."""
    source = operation.argument(1, "src")
    axes = known.get(source) if isinstance(source, Value) else None
    return [axes] if axes is not None and source.shape == operation.output.shape else _alike(operation, known)


def _query(operation: Operation, known: Known) -> Found:
    given = known.get(operation.arguments[0])
    return [given, *(None for _ in operation.outputs[1:])]


def _recurrent(operation: Operation, known: Known) -> Found:
    """Return the axes of a recurrent layer's first output, with new channels at each step; None for its others."""
    given = known.get(operation.arguments[0])
    first = None if given is None else (*given[:-1], axis(CHANNELS, operation.output.shape[-1]))
    return [first, *(None for _ in operation.outputs[1:])]


RULES: dict[str, Callable[[Operation, Known], Found]] = {
    **views.RULES,
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(("linear", "linear_dynamic"), _linear),
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "addmm": _addmm,
    "einsum": _einsum,
    "copy": _copy,
    "scaled_dot_product_attention": _attention,
    "_native_multi_head_attention": _query,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
}
