"""Finds the last maps of a network by recording a forward of a small batch; any module or code may compute them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapebias.precompute.memory import is_out_of_memory
from shapebias.precompute.models.flow.dispatch import intercepting, part_by_part
from shapebias.precompute.models.flow.following import is_convolution, is_linear, is_pointwise
from shapebias.precompute.models.flow.maps import Layout, layout_of
from shapebias.precompute.models.flow.operations import MOVING, POOLING, REDUCTIONS, SAME_ELEMENTS
from shapebias.precompute.models.flow.propagation import follow_axes
from shapebias.precompute.models.flow.recording import Operation, Recording, Value, record, tensors_in

_COPYING = SAME_ELEMENTS - MOVING
_AVERAGES = frozenset(("mean", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "avg_pool2d"))


@dataclass(frozen=True)
class MapsPoint:
    """The point of a forward where maps are computed: the first tensor that a call of an ATen function returns.

    function:    the function's name
    occurrence:  the number of the call among those of the function in the forward, from 0
    shape:       the tensor's shape without its first axis
    layout:      how the tensor holds the maps
    """

    function: str
    occurrence: int
    shape: tuple[int, ...]
    layout: Layout


@dataclass(frozen=True)
class Head:
    """The points where a network's last maps are computed; None for those that it does not have.

    last:      the last maps before pooling that the class scores depend on
    averaged:  the maps whose averages over all positions one linear layer turns into the class scores
    """

    last: MapsPoint | None = None
    averaged: MapsPoint | None = None


def find_head(network: nn.Module, images: Tensor) -> Head:
    """Return where the last maps of a network are, by two forwards and a backward of two images [2, 3, H, W].

    Whether the class scores depend on maps is tested by the gradient: where only the class token is read, for instance,
    they do not depend on the other tokens. For a network without a gradient, `last` is None. Errors of the network are
    passed on.
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        _, recording = record(network, images, gradients=True)
        flow = _Flow(recording)
        candidates = list(flow.candidates())
        scores, tensors = run_with_maps(network, images, candidates)
    return Head(_first_that_matters(scores, candidates, tensors), flow.averaged())


def run_with_maps(
    forward: Callable[[Tensor], Tensor], images: Tensor, points: Sequence[MapsPoint]
) -> tuple[Tensor, list[Tensor | None]]:
    """Return the class scores of images, and the tensor at each of the given points of the forward.

    A tensor is None where the forward does not come to its point, or has another shape there. The tensors are those
    that the scores are computed from: if gradients are enabled, the scores' derivatives with respect to them can be
    taken.
    """
    calls: Counter[str] = Counter()
    numbers = {(point.function, point.occurrence): number for number, point in enumerate(points)}
    functions = {point.function for point in points}
    tensors: list[Tensor | None] = [None] * len(points)

    def run(func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        result = func(*args, **options)
        name = func.overloadpacket.__name__
        if name in functions:
            number = numbers.get((name, calls[name]))
            calls[name] += 1
            tensor = next(tensors_in(result), None)
            if number is not None and tensor is not None and tensor.shape[1:] == points[number].shape:
                tensors[number] = tensor
        return result

    with part_by_part(), intercepting(run):
        scores = forward(images)
    return scores, tensors


def _first_that_matters(
    scores: Tensor, points: Sequence[MapsPoint], tensors: Sequence[Tensor | None]
) -> MapsPoint | None:
    """Return the first of the points on whose maps the scores depend, by a gradient that is not 0; None where none is.

    `tensors` are those at the points, as `run_with_maps` returns them with the scores.
    """
    reached = [(point, tensor) for point, tensor in zip(points, tensors, strict=True) if tensor is not None]
    reached = [(point, tensor) for point, tensor in reached if tensor.requires_grad]
    if not reached or not scores.requires_grad:
        return None
    try:
        gradients = torch.autograd.grad(scores.square().sum(), [tensor for _, tensor in reached], allow_unused=True)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return None
    for (point, _), gradient in zip(reached, gradients, strict=True):
        if gradient is not None and point.layout.maps(gradient).any():
            return point
    return None


class _Flow:
    """The recorded values that are maps, traced back from the class scores."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._axes = follow_axes(recording)
        outputs = (value for operation in reversed(recording.operations) for value in operation.outputs)
        self._scores = next((value for value in outputs if value.returned), None)

    def candidates(self) -> Iterator[MapsPoint]:
        """Yield the points of all maps that the scores are computed from, the last ones first.

        In place of pooled maps they are the maps before the pooling. Maps before the first layer with weights are left
        out.
        """
        sources, operations = self._sources(), self._recording.operations
        first = next(
            (operation.position for operation in operations if is_convolution(operation) or is_linear(operation)),
            len(operations),
        )
        unpooled: dict[Value, None] = {}
        for operation in reversed(operations[first:]):
            if operation.outputs and operation.output in sources and self._layout(operation.output) is not None:
                unpooled[self._before_pooling(operation.output)] = None
        for value in unpooled:
            point = self._point(value)
            if point is not None:
                yield point

    def averaged(self) -> MapsPoint | None:
        """Return the point of the maps whose global average one linear layer turns into the scores; None without it."""
        weighted = _last_value_before(self._scores, lambda operation: _is_copy(operation) or _is_affine(operation))
        if weighted is None or weighted.producer is None or not is_pointwise(weighted.producer):
            return None
        average = _last_value_before(_only_source(weighted.producer), _is_copy)
        maps = None if average is None or average.producer is None else self._averaged_by(average.producer)
        return None if maps is None else self._point(maps)

    def _averaged_by(self, operation: Operation) -> Value | None:
        """Return the maps that an operation averages over all positions; None where it does something else."""
        maps = _only_source(operation)
        if operation.name not in _AVERAGES or maps is None or self._layout(maps) is None:
            return None
        kernel = operation.argument(1, "kernel_size") if operation.name == "avg_pool2d" else maps.shape[2:]
        whole = self._layout(operation.output) is None and tuple(kernel) == maps.shape[2:]
        return maps if whole else None

    def _sources(self) -> set[Value]:
        """Return the scores, and all values that they are computed from, directly or through others."""
        waiting = [] if self._scores is None else [self._scores]
        dependent = set(waiting)
        while waiting:
            operation = waiting.pop().producer
            inputs = () if operation is None else operation.inputs
            fresh = {value for value in inputs if value.depends} - dependent
            dependent |= fresh
            waiting += fresh
        return dependent

    def _layout(self, value: Value) -> Layout | None:
        """Return how a value holds maps; None where it holds no maps, or maps of one position."""
        axes = self._axes.get(value)
        layout = None if axes is None else layout_of(axes, self._recording.batch)
        if layout is None:
            return None
        height, width = value.shape[2:] if layout.axes is None else layout.shape[2:]
        return layout if height * width > 1 else None

    def _point(self, value: Value) -> MapsPoint | None:
        operation, layout = value.producer, self._layout(value)
        if operation is None or layout is None or operation not in self._recording.operations:
            return None
        return MapsPoint(operation.function, operation.occurrence, value.shape[1:], layout)

    def _before_pooling(self, value: Value) -> Value:
        """Return the maps that poolings and copies, one after another, made into `value`; else `value` itself."""
        while value.producer is not None and value.producer.name in _COPYING | (POOLING - REDUCTIONS):
            source = _only_source(value.producer)
            if source is None or source.producer is None or self._layout(source) is None:
                break
            value = source
        return value


def _last_value_before(value: Value | None, passes: Callable[[Operation], bool]) -> Value | None:
    """Return the value from which operations that `passes` accepts, one after another, made `value`; else `value`.

    None where one of these operations does not compute from exactly one value, apart from constants.
    """
    while value is not None and value.producer is not None and passes(value.producer):
        value = _only_source(value.producer)
    return value


def _is_copy(operation: Operation) -> bool:
    """Return whether an operation keeps the elements of its one input and their order.

    PyTorch's global average pooling ends with `as_strided_` where maps are channels_last: that gives the average
    [B, C, 1, 1] other strides, but leaves its elements where they are.
    """
    if operation.name in SAME_ELEMENTS:
        return True
    source = _only_source(operation)
    if operation.name != "as_strided" or source is None:
        return False
    shape, strides = tuple(operation.argument(1, "size")), tuple(operation.argument(2, "stride"))
    return shape == source.shape and shape[2:] == (1, 1) and strides[:2] == (shape[1], 1)


def _is_affine(operation: Operation) -> bool:
    """Return whether an operation adds a constant to its only source, subtracts one, or multiplies or divides it by
    one.

    A constant is whatever does not depend on the image.
    """
    source = _only_source(operation)
    is_first, is_second = operation.arguments[0] is source, operation.argument(1, "other") is source
    if is_first == is_second:  # x * x, or something else
        return False
    return operation.name in ("add", "mul") or (operation.name in ("sub", "div") and is_first)


def _only_source(operation: Operation) -> Value | None:
    """Return the only value that an operation computes from, apart from constants; None where there are several or
    none.
    """
    sources = [value for value in operation.inputs if value.depends]
    return sources[0] if len(sources) == 1 else None
