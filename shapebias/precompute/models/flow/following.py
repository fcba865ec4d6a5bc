"""Finds where the activation of a layer ends.

The output of a convolution or linear layer is followed through its norm and its elementwise nonlinearity, to the point
where a second activation joins, another layer begins, or the path forks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shapebias.precompute.models.flow import operations as known
from shapebias.precompute.models.flow.recording import ModuleCall, Operation, Recording, Value

NORM, SCALE = "norm", "scale"


@dataclass(frozen=True)
class Activation:
    """The tensor that counts as a layer's activation, and the kinds of operations before it (`norm`, `relu`)."""

    value: Value
    after: tuple[str, ...] = ()

    @property
    def signed(self) -> bool:
        """Whether there is no nonlinearity among these operations, or a norm comes after it."""
        return not self.after or self.after[-1] == NORM


def is_convolution(operation: Operation) -> bool:
    """Return whether an operation is a convolution of activations with weights."""
    return operation.name in known.CONVOLUTIONS and operation.output.depends


def is_linear(operation: Operation) -> bool:
    """Return whether an operation is a linear layer: activations times a matrix of weights."""
    weights = operation.argument(1, "other")
    product = operation.name in known.PRODUCTS and isinstance(weights, Value) and not weights.depends
    return (operation.name in known.LINEAR or product) and operation.output.depends


def parameter_of(operation: Operation) -> str:
    """Return the name of the parameter with the weights of a convolution or linear operation; empty where they are
    computed.

    The weights may have been converted or reshaped.
    """
    weights = operation.argument(1, "weight")
    while isinstance(weights, Value) and weights.producer is not None and weights.producer.name in known.SAME_ELEMENTS:
        weights = weights.producer.inputs[0]
    return weights.parameter if isinstance(weights, Value) else ""


def is_pointwise(operation: Operation) -> bool:
    """Return whether an operation is a linear layer, or a convolution with a kernel of one pixel."""
    weights = operation.argument(1, "weight")
    one_pixel = isinstance(weights, Value) and set(weights.shape[2:]) == {1}
    return is_linear(operation) or (is_convolution(operation) and one_pixel)


def is_depthwise(operation: Operation) -> bool:
    """Return whether an operation is a convolution that filters each channel separately."""
    value, weights = operation.argument(0, "input"), operation.argument(1, "weight")
    both = isinstance(value, Value) and isinstance(weights, Value) and is_convolution(operation)
    return both and weights.shape[1] == 1 and value.shape[1] == operation.output.shape[1] > 1


def activation_of(norms: "Norms", operation: Operation) -> Activation:
    """Return the activation that belongs to a convolution or linear operation.

    The operation's output is followed through norms and elementwise nonlinearities, up to where a second activation
    joins, another layer begins, or the path forks. `norms` are those of the recording that `operation` is from.
    """
    reached = activation = Activation(operation.output)
    while (step := _step(reached.value, norms)) is not None:
        value, kinds = step
        reached = Activation(value, (*reached.after, *(kind for kind in kinds if kind != SCALE)))
        if reached.after != activation.after:
            activation = reached
    return activation


def ending_of(value: Value) -> tuple[str, ...]:
    """Return the kinds of the operations that end with `value`, from the last sum or concatenation on.

    For a residual block these are `sum`, `relu`. Where another operation is met first on the way back, such as a
    convolution, they are the norms and nonlinearities behind that.
    """
    names: list[str] = []
    while (operation := value.producer) is not None:
        operands = [operand for operand in operation.inputs if operand.depends]
        if operation.name in ("add", "cat") and len(operands) > 1:
            names.append("sum" if operation.name == "add" else "concatenation")
            break
        kind = _kind(operation)
        if (kind is None and operation.name not in known.SAME_ELEMENTS) or len(operands) != 1:
            break
        if kind not in (None, SCALE):
            names.append(str(kind))
        value = operands[0]
    return tuple(reversed(names))


def is_result(value: Value) -> bool:
    """Return whether the network returns a value, as it is or after nothing but views, elementwise functions and
    pooling.
    """
    while not value.returned:
        user = value.consumers[0] if len(value.consumers) == 1 else None
        passes = user is not None and (is_elementwise(user) or user.name in known.POOLING)
        if user is None or not passes or not user.outputs or not _depends_only(user, {value}):
            return False
        value = user.output
    return True


def is_signed(value: Value) -> bool:
    """Return whether a value may be negative because no nonlinearity limits it.

    That is so where a way back from it reaches a norm, a layer with weights or the network's input before any
    nonlinearity. A sum or concatenation has several ways back: one is enough.
    """
    waiting, seen = [value], {value}
    while waiting:
        operation = waiting.pop().producer
        if operation is None:
            return True
        kind = _kind(operation)
        passes = operation.name in known.SAME_ELEMENTS | known.POOLING | {"cat", "slice"} or kind == SCALE
        if kind == NORM or (kind is None and not passes):
            return True
        if kind in (None, SCALE) and not _is_nonlinear_product(operation):
            fresh = [operand for operand in operation.inputs if operand.depends and operand not in seen]
            waiting += fresh
            seen |= set(fresh)
    return False


def _is_nonlinear_product(operation: Operation) -> bool:
    """Return whether an operation multiplies an operand by a nonlinear function of itself: x * sigmoid(x)."""
    steps = (_elementwise(operand) for operand in operation.inputs if operand.depends and len(operand.consumers) > 1)
    return any(
        step is not None and step[0] is operation.output and step[1] not in ((NORM,), (SCALE,)) for step in steps
    )


def sources_of(value: Value) -> list[Operation]:
    """Return the convolutions and linear operations that a value comes from, in order, through elementwise functions,
    norms, pooling and sums.
    """
    sources: dict[Operation, None] = {}
    waiting, seen = [value], {value}
    while waiting:
        operation = waiting.pop().producer
        if operation is None:
            continue
        if is_convolution(operation) or is_linear(operation):
            sources[operation] = None
        elif _kind(operation) is not None or operation.name in known.SAME_ELEMENTS | known.POOLING:
            fresh = [operand for operand in operation.inputs if operand.depends and operand not in seen]
            waiting += fresh
            seen |= set(fresh)
    return sorted(sources, key=lambda operation: operation.position)


def _kind(operation: Operation) -> str | None:
    """Return the word for an elementwise operation or a norm: `norm`, `relu`, `scale` …; None for any other."""
    if operation.name in known.NORMS:
        return NORM
    if operation.name in known.NONLINEAR:
        return _nonlinearity(operation)
    if operation.name in ("max", "min") and isinstance(operation.argument(1, "other"), Value):
        return "clamp"
    if operation.name in ("mul", "multiply") and operation.arguments[0] is operation.argument(1, "other"):
        return "square"
    return SCALE if operation.name in known.ARITHMETIC else None


def _nonlinearity(operation: Operation) -> str:
    """Return the word for a nonlinearity; clamps with usual limits have their own."""
    low, high = operation.argument(1, "min_val"), operation.argument(2, "max_val")
    if operation.name == "hardtanh" and (low, high) == (0, 6):
        return "relu6"
    if operation.name in ("clamp", "clamp_min", "clip"):
        low, high = operation.argument(1, "min"), operation.argument(2, "max")
        if low == 0 and high in (None, 6):
            return "relu" if high is None else "relu6"
    return known.NONLINEAR[operation.name]


class Norms:
    """The calls of modules that are norms by the name of their class, whatever they compute with."""

    def __init__(self, recording: Recording) -> None:
        self.operations = recording.operations
        self._calls = [call for call in recording.calls if self._is_norm(call)]

    def _is_norm(self, call: ModuleCall) -> bool:
        named = "norm" in call.kind.__name__.lower() and call.output is not None and call.last > call.first
        inside = self.operations[call.first : call.last] if named else []
        return named and not any(is_convolution(operation) or is_linear(operation) for operation in inside)

    def around(self, consumers: Iterable[Operation]) -> ModuleCall | None:
        """Return the innermost call of a norm in which all `consumers` ran, at least one; None where there is none."""
        positions = [operation.position for operation in consumers]
        around = [call for call in self._calls if call.first <= min(positions) and max(positions) < call.last]
        return min(around, key=lambda call: call.last - call.first, default=None)


def _step(value: Value, norms: "Norms") -> tuple[Value, tuple[str, ...]] | None:
    """Return the value that follows `value` by elementwise operations or a norm, and the kinds of these operations.

    It depends on `value` alone, and everything computed from `value` goes through it. The kinds are empty where the
    elements are unchanged. Returns None where there is no such value.
    """
    if value.returned or not value.consumers:
        return None
    norm = norms.around(value.consumers)
    if norm is not None and norm.output is not None and norm.output is not value and _is_alone(value, norm, norms):
        return norm.output, _kinds_in(norm, norms)
    operation = value.consumers[0]
    if len(value.consumers) == 1 and operation.name in known.NORMS and _depends_only(operation, {value}):
        return operation.output, (NORM,)
    return _elementwise(value)


def _kinds_in(call: ModuleCall, norms: "Norms") -> tuple[str, ...]:
    """Return the kinds in a call of a norm: the norm, and the nonlinearity that its module ends with (timm's
    BatchNormAct2d).
    """
    kinds = [kind for kind in map(_kind, norms.operations[call.first : call.last]) if kind is not None]
    return (NORM, kinds[-1]) if NORM in kinds and kinds[-1] not in (NORM, SCALE) else (NORM,)


def _is_alone(value: Value, call: ModuleCall, norms: "Norms") -> bool:
    """Return whether a call's operations use only `value` from outside, and only the call's result is used outside.

    Constants, such as parameters, do not count.
    """
    inside = set(norms.operations[call.first : call.last])
    made = {output for operation in inside for output in operation.outputs}
    given = {operand for operation in inside for operand in operation.inputs if operand.depends} - made
    leaving = [one for one in made if one is not call.output and any(user not in inside for user in one.consumers)]
    return given == {value} and not leaving and call.output in made


def _depends_only(operation: Operation, allowed: set[Value]) -> bool:
    return all(operand in allowed for operand in operation.inputs if operand.depends)


def _elementwise(value: Value) -> tuple[Value, tuple[str, ...]] | None:
    """Return the value that follows `value` by elementwise operations alone, and their kinds; for the rest see `_step`.

    It is behind one operation, or behind several that fork and join again, such as x * sigmoid(x), or a norm that is
    written out: (x - mean) / std. Returns None where there is no such value.
    """
    region, operations = {value}, []
    waiting: set[Operation] = set(value.consumers)
    forks = len(waiting) > 1
    while waiting:
        operation = min(waiting, key=lambda candidate: candidate.position)
        waiting.discard(operation)
        fits = is_elementwise(operation) or (forks and operation.name in known.AVERAGING)
        if not fits or not _depends_only(operation, region) or len(operation.outputs) != 1:
            return None
        operations.append(operation)
        output = operation.output
        region.add(output)
        if not waiting:
            kinds = _summary(operations) if not forks or output.shape == value.shape else None
            return None if kinds is None else (_rescaled(output) if forks else output, kinds)
        if output.returned or not output.consumers:
            return None
        waiting |= set(output.consumers)
    return None


def _rescaled(value: Value) -> Value:
    """Return a value after it was multiplied or divided by a number, if that is all: x * relu6(x + 3) / 6."""
    while len(value.consumers) == 1 and not value.returned:
        operation = value.consumers[0]
        if operation.name not in ("mul", "div") or isinstance(operation.argument(1, "other"), Value):
            break
        value = operation.output
    return value


def is_elementwise(operation: Operation) -> bool:
    """Return whether an operation works on each element separately, or only moves elements."""
    return _kind(operation) not in (None, NORM) or operation.name in known.SAME_ELEMENTS


def _summary(operations: list[Operation]) -> tuple[str, ...] | None:
    """Return the kinds of several operations taken as one; None where they are neither elementwise nor a norm."""
    kinds = [_kind(operation) for operation in operations]
    nonlinear = tuple(dict.fromkeys(kind for kind in kinds if kind not in (None, SCALE)))
    names = {operation.name for operation in operations}
    if names & known.AVERAGING:
        return (NORM,) if names & known.DIVISIONS and set(nonlinear) <= known.IN_NORMS else None
    if len(kinds) > 1 and SCALE in kinds:
        return ("product",) if not nonlinear else (f"product with {'+'.join(map(str, nonlinear))}",)
    return tuple(map(str, nonlinear)) or ((SCALE,) if SCALE in kinds else ())
