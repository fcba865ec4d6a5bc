"""Records one forward of a network: every operation on tensors, and the module that ran it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn

from shapebias.precompute.models.flow.dispatch import intercepting, part_by_part
from shapebias.precompute.models.outputs import leaves

_SHAPED = ("reshape_as", "view_as", "expand_as", "type_as")  # like their second operand
_FILLED = (  # with constants or noise, shaped like their first operand
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full"),
)


@dataclass(eq=False)
class Value:
    """The content of a tensor between two operations; an in-place operation gives the same tensor a new value.

    depends:    whether it is the network's input or was computed from it
    parameter:  the name of the parameter, where it is one; else empty
    producer:   the operation that computed it; None where no recorded one did: the network's input, parameters, buffers
    consumers:  the operations that use it
    returned:   whether the network returns it
    """

    shape: tuple[int, ...]
    depends: bool
    parameter: str = ""
    producer: "Operation | None" = None
    consumers: "list[Operation]" = field(default_factory=list)
    returned: bool = False  # True for results

    def __repr__(self) -> str:
        return f"Value({list(self.shape)}, of {self.producer.function if self.producer else 'outside'})"


@dataclass(eq=False)
class Operation:
    """A call of an ATen function.

    function:    its name in PyTorch (`relu_`); `name` is the same without the mark of in-place functions
    occurrence:  the number of this call of `function` in the forward, from 0
    position:    the number of the operation in the forward
    module:      the path of the innermost module that ran it; empty for the network itself
    call:        the number of that module's call
    arguments:   the positional ones, with a `Value` in place of each tensor
    options:     the keyword arguments, likewise
    inputs:      the tensors whose elements it uses
    outputs:     the tensors that it returns or, where it returns none, changes
    digest:      two numbers for each image, see `_digest`; empty without digests
    """

    function: str
    occurrence: int
    position: int
    module: str
    call: int
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: list[Value]
    outputs: list[Value] = field(default_factory=list)
    digest: list[tuple[float, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The function's name without the mark of in-place functions."""
        return self.function.removesuffix("_")

    @property
    def output(self) -> Value:
        """Its first output."""
        return self.outputs[0]

    def argument(self, position: int, keyword: str, default: Any = None) -> Any:
        """Return one of its arguments, whether it was passed by position or by keyword; else `default`."""
        return self.arguments[position] if position < len(self.arguments) else self.options.get(keyword, default)


@dataclass(eq=False)
class ModuleCall:
    """A call of the module at `path`, which is of the class `kind`.

    number:       among the module's calls, in the order in which they ended, from 0
    first, last:  the operations that ran in it are at positions `first` to `last - 1`
    output:       the first tensor that it returned; None where it returned none
    """

    path: str
    kind: type[nn.Module]
    number: int = -1
    first: int = 0
    last: int = 0
    output: Value | None = None


@dataclass
class Recording:
    """A forward of a network on a batch: its operations in order, and its module calls in the order in which they
    ended.
    """

    batch: int
    operations: list[Operation]
    calls: list[ModuleCall]

    def calls_of(self, path: str) -> list[ModuleCall]:
        """Return the calls of one module, in the order in which they ended."""
        return [call for call in self.calls if call.path == path]


def record(
    network: nn.Module, images: Tensor, *, digests: bool = False, gradients: bool = False
) -> tuple[Any, Recording]:
    """Run `images` [B, 3, H, W] through `network` once; return its result and the recording.

    With `digests`, each operation has a digest of its output for each image, so that recordings can be compared. With
    `gradients`, gradients are enabled, so that PyTorch runs the functions that it uses then; else they are disabled.
    Errors of the network are passed on.
    """
    recorder = _Recorder(len(images) if digests else 0)
    recorder.value_of(images).depends = True
    for name, parameter in network.named_parameters():
        recorder.value_of(parameter).parameter = name
    with recorder.following(network), torch.inference_mode(not gradients), part_by_part(), intercepting(recorder.run):
        result = network(images)
    for leaf in leaves(result):
        recorder.value_of(leaf.tensor).returned = True
    return result, Recording(len(images), recorder.operations, recorder.calls)


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested lists, tuples and dictionaries, in order; other objects are not searched."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, dict):
        for item in nested.values():
            yield from tensors_in(item)
    elif isinstance(nested, list | tuple):
        for item in nested:
            yield from tensors_in(item)


def _map_tensors(nested: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(nested, Tensor):
        return change(nested)
    if isinstance(nested, dict):
        return {key: _map_tensors(item, change) for key, item in nested.items()}
    if isinstance(nested, list | tuple):
        return [_map_tensors(item, change) for item in nested]
    return nested


class _Recorder:
    """Sees every ATen call of a forward. It identifies tensors while they exist, without keeping them alive.

    `batch` is the number of images if digests are wanted, else 0.
    """

    def __init__(self, batch: int) -> None:
        self.operations: list[Operation] = []
        self.calls: list[ModuleCall] = []
        self._batch = batch
        self._values: dict[int, Value] = {}
        self._sharing: dict[int, dict[int, ReferenceType[Tensor]]] = defaultdict(dict)  # tensors by their storage
        # Tensors changed through another tensor: the operation, and whether all elements changed.
        self._changed: dict[int, tuple[Operation, bool]] = {}
        self._open: list[ModuleCall] = []
        self._begun: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def value_of(self, tensor: Tensor) -> Value:
        """Return the current value of a tensor; one that was never seen gets a new value, that of a constant."""
        if id(tensor) not in self._values:
            same = (other for other in self._in_memory_of(tensor) if _is_alias(tensor, other))
            known = next((self._values[id(other)] for other in same), None)
            self._keep(tensor, known or Value(tuple(tensor.shape), depends=False))
        elif id(tensor) in self._changed:
            self._values[id(tensor)] = _after_write(self._values[id(tensor)], *self._changed.pop(id(tensor)))
        return self._values[id(tensor)]

    def _keep(self, tensor: Tensor, value: Value) -> None:
        if id(tensor) not in self._values:
            number, storage = id(tensor), _storage(tensor)
            self._sharing[storage][number] = ref(tensor, lambda _: self._forget(number, storage))
        self._values[id(tensor)] = value

    def _forget(self, number: int, storage: int) -> None:
        """Forget a deleted tensor, since another one may get its id."""
        del self._values[number]
        self._changed.pop(number, None)
        del self._sharing[storage][number]
        if not self._sharing[storage]:
            del self._sharing[storage]

    def _in_memory_of(self, tensor: Tensor) -> list[Tensor]:
        """Return the known tensors that share memory with a tensor."""
        alive = (reference() for reference in self._sharing.get(_storage(tensor), {}).values())
        return [other for other in alive if other is not None]

    @contextmanager
    def following(self, network: nn.Module) -> Iterator[None]:
        """Hook every module of a network during the block, to know which of them runs an operation."""
        handles = []
        for path, module in network.named_modules():
            handles.append(module.register_forward_pre_hook(lambda module, _, path=path: self._begin(path, module)))
            handles.append(module.register_forward_hook(lambda module, inputs, output: self._end(output)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self, path: str, module: nn.Module) -> None:
        self._open.append(ModuleCall(path, type(module), first=len(self.operations)))

    def _end(self, output: Any) -> None:
        call = self._open.pop()
        call.number, call.last = self._ended[call.path], len(self.operations)
        self._ended[call.path] += 1
        tensor = next(tensors_in(output), None)
        call.output = None if tensor is None else self.value_of(tensor)
        self.calls.append(call)

    def run(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run an ATen function, record it unless it did nothing, and return its result."""
        function = func.overloadpacket.__name__
        operands = () if function in _FILLED else args[:1] if function in _SHAPED else (args, options)
        inputs = [self.value_of(tensor) for tensor in tensors_in(operands)]
        result = func(*args, **options)
        outer = self._open[-1] if self._open else ModuleCall("", nn.Module)
        operation = Operation(
            function=function,
            occurrence=self._counts[function],
            position=len(self.operations),
            module=outer.path,
            call=self._ended[outer.path],
            arguments=_map_tensors(tuple(args), self.value_of),
            options=_map_tensors(options, self.value_of),
            inputs=list(dict.fromkeys(inputs)),
        )
        self._counts[function] += 1
        written = _written(func, args, options)
        outputs = list(tensors_in(result))
        if outputs and not written and all(any(output is given for given in tensors_in(args)) for output in outputs):
            return result  # the function did nothing: `contiguous` for a contiguous tensor, dropout in eval mode
        self._record(operation, outputs, written)
        return result

    def _record(self, operation: Operation, outputs: list[Tensor], written: list[Tensor]) -> None:
        depends = any(value.depends for value in operation.inputs)
        for value in operation.inputs:
            value.consumers.append(operation)
        for tensor in outputs or written:
            value = Value(tuple(tensor.shape), depends, producer=operation)
            operation.outputs.append(value)
            self._keep(tensor, value)
        self.operations.append(operation)
        if self._batch and outputs and outputs[0].is_floating_point() and outputs[0].shape[:1] == (self._batch,):
            operation.digest = _digest(outputs[0], self._batch)
        for tensor in written:
            self._write(tensor, operation)

    def _write(self, tensor: Tensor, operation: Operation) -> None:
        """Record that `operation`, which changed `tensor`, has changed other tensors in the same memory, too."""
        for other in self._in_memory_of(tensor):
            if other is not tensor and _is_alias(tensor, other):
                self._values[id(other)] = self._values[id(tensor)]
            elif other is not tensor:
                self._changed[id(other)] = operation, _is_view(tensor, other)


def _after_write(old: Value, operation: Operation, wholly: bool) -> Value:
    """Return the value of a tensor, `old` before, after an operation changed it through another tensor.

    `wholly` says whether all of its elements changed.
    """
    written = operation.output
    function, inputs = ("view", [written]) if wholly else ("write", [old, written])
    origin = (operation.position, operation.module, operation.call)
    change = Operation(function, 0, *origin, tuple(inputs), {}, inputs)
    change.outputs = [Value(old.shape, any(value.depends for value in inputs), producer=change)]
    for value in inputs:
        value.consumers.append(change)
    return change.output


def _digest(output: Tensor, batch: int) -> list[tuple[float, float]]:
    """Return for each of the `batch` rows of a tensor a sum of its elements, weighted by their positions, and their
    norm.
    """
    rows = output.detach().reshape(batch, -1).double()
    weights = torch.linspace(-1, 2, rows.shape[1], dtype=torch.float64, device=rows.device)
    return list(zip((rows @ weights).tolist(), rows.norm(dim=1).tolist(), strict=True))


def _storage(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # sparse tensors have none
        return id(tensor)


def _is_alias(tensor: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one storage are the same elements in the same order and shape."""
    same = tensor.shape == other.shape and tensor.stride() == other.stride()
    return bool(same and tensor.storage_offset() == other.storage_offset())


def _is_view(tensor: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one storage are the same elements in the same order, in any shape."""
    contiguous = tensor.is_contiguous() and other.is_contiguous() and tensor.numel() == other.numel()
    return bool(contiguous and tensor.storage_offset() == other.storage_offset())


def _written(func: Any, args: Any, options: dict[str, Any]) -> list[Tensor]:
    """Return the tensors among the arguments that an ATen function changes, by its schema."""
    written = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[position] if position < len(args) else options.get(argument.name)
            written += list(tensors_in(given))
    return written
