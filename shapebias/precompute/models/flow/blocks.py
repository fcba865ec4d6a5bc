"""The parts of a network to watch: its stages, and the hidden neurons of a transformer's blocks."""

from collections.abc import Callable, Iterator
from itertools import chain

from torch import nn

from shapebias.precompute.models.flow.following import (
    Norms,
    activation_of,
    is_convolution,
    is_depthwise,
    is_elementwise,
    is_linear,
    is_pointwise,
    is_result,
    sources_of,
)
from shapebias.precompute.models.flow.operations import ATTENTION, NORMS
from shapebias.precompute.models.flow.recording import ModuleCall, Operation, Recording, Value

_FEW, _ENOUGH = 3, 5


class Blocks:
    """The stages of a network: its children, some of them replaced by their own children, so that there are a few."""

    def __init__(
        self,
        network: nn.Module,
        recording: Recording,
        weighted: list[Operation],
        has_maps: Callable[[ModuleCall], bool],
    ) -> None:
        """Prepare the search.

        weighted:  the operations of layers with weights
        has_maps:  returns whether the output of a module's call has units
        """
        self._network, self._weighted, self._has_maps = network, weighted, has_maps
        self._paths = {id(module): path for path, module in network.named_modules()}
        self._calls: dict[str, list[ModuleCall]] = {}
        for call in recording.calls:
            self._calls.setdefault(call.path, []).append(call)

    def find(self) -> list[ModuleCall]:
        """Return the calls of the network's stages that have maps, in the order of the forward.

        One that gives the class scores is left out, unless there is no other.
        """
        opened = {""}
        while True:
            calls = list(self._below("", opened))
            parts = [call.path for call in calls if self._has_parts(call)]
            large = [path for path in parts if self._is_container(path) and 2 * self.count(path) > self.count("")]
            blocks = [call for call in calls if self.count(call.path) != 1 or self._has_parts(call)]
            if len(blocks) >= _ENOUGH or not parts or (len(blocks) >= _FEW and not large):
                break
            opened.add(max(large or parts, key=self.count))
        hidden = [call for call in calls if call.output is not None and not is_result(call.output)]
        return hidden or calls

    def count(self, path: str) -> int:
        """Return how many operations of layers with weights run in the module at `path`."""
        return sum(is_within(operation.module, path) for operation in self._weighted)

    def _below(self, path: str, opened: set[str]) -> Iterator[ModuleCall]:
        parent = self._network.get_submodule(path)
        children = [self._paths[id(module)] for _, module in parent.named_children()]
        for child in sorted(dict.fromkeys(children), key=self._first_position):
            calls = [call for call in self._calls.get(child, []) if self._has_maps(call)]
            if self.count(child) == 0:
                continue
            if calls and child not in opened:
                yield from calls
            elif child != path:
                yield from self._below(child, opened)

    def _first_position(self, path: str) -> int:
        inside = (call.first for call in chain(*self._calls.values()) if is_within(call.path, path))
        return min(inside, default=0)

    def _has_parts(self, call: ModuleCall) -> bool:
        """Return whether layers with weights run in children of the call's module, not in that module alone."""
        return any(self.count(self._paths[id(child)]) for child in self._network.get_submodule(call.path).children())

    def _is_container(self, path: str) -> bool:
        return isinstance(self._network.get_submodule(path), nn.Sequential | nn.ModuleList)


def is_within(path: str, outer: str) -> bool:
    """Return whether the module at `path` is the one at `outer` or a part of it."""
    return not outer or path == outer or path.startswith(f"{outer}.")


def hidden_neurons(recording: Recording, weighted: list[Operation], norms: Norms) -> Iterator[Operation]:
    """Yield the operations whose activations are the hidden neurons of a transformer's blocks.

    They are linear layers, or convolutions of one pixel, to at least as many channels, followed by a nonlinearity and
    another such layer back to the number of input channels; or depthwise convolutions between two such layers. Networks
    without attention have none.
    """
    if not any(operation.name in ATTENTION and operation.output.depends for operation in recording.operations):
        return
    for operation in weighted:
        first = operation if is_pointwise(operation) else _before_depthwise(operation, norms)
        activation = activation_of(norms, operation)
        if first is None or activation.signed or _outputs(first) < _inputs(first):
            continue
        if any(_outputs(following) == _inputs(first) for following in _pointwise_behind(activation.value)):
            yield operation


def _before_depthwise(operation: Operation, norms: Norms) -> Operation | None:
    """Return the linear layer, without a nonlinearity, whose output a depthwise convolution filters.

    None where `operation` is no such convolution, or filters anything else.
    """
    value = operation.argument(0, "input")
    if not is_depthwise(operation) or not isinstance(value, Value):
        return None
    sources = sources_of(value)
    if len(sources) != 1 or not is_pointwise(sources[0]) or not activation_of(norms, sources[0]).signed:
        return None
    return sources[0]


def _pointwise_behind(value: Value) -> Iterator[Operation]:
    """Yield the linear layers, and convolutions of one pixel, that follow a value, directly or behind elementwise
    functions and norms.
    """
    waiting, seen = [value], {value}
    while waiting:
        for operation in waiting.pop().consumers:
            if is_pointwise(operation):
                yield operation
            elif is_elementwise(operation) or operation.name in NORMS:
                fresh = set(operation.outputs) - seen
                waiting += fresh
                seen |= fresh


def _inputs(operation: Operation) -> int:
    value = next(operand for operand in operation.inputs if operand.depends)
    return value.shape[1 if is_convolution(operation) else -1]


def _outputs(operation: Operation) -> int:
    return operation.output.shape[-1 if is_linear(operation) else 1]
