"""Chooses the layers of a network to watch, by recording a forward of one small batch."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.architectures import PAPER
from shapebias.precompute.models.flow.axes import Axes
from shapebias.precompute.models.flow.blocks import Blocks, hidden_neurons, is_within
from shapebias.precompute.models.flow.following import (
    Norms,
    activation_of,
    ending_of,
    is_convolution,
    is_linear,
    is_result,
    is_signed,
    parameter_of,
    sources_of,
)
from shapebias.precompute.models.flow.maps import CHANNELS_FIRST, Layout, layout_by_hand, layout_of
from shapebias.precompute.models.flow.propagation import follow_axes
from shapebias.precompute.models.flow.recording import ModuleCall, Operation, Value, record
from shapebias.precompute.models.hooks import WatchedLayer

_OWN_AXIS = re.compile(r"(?P<name>.+)\[channels=(?P<axis>last|-?[0-9])\]")


@dataclass(frozen=True)
class _Tensor:
    """A value of the recorded forward, and how a hook finds it: by a call of a module, or of an ATen function.

    `module`, `call` and `function` are as in `WatchedLayer`.
    """

    value: Value
    module: str
    call: int
    function: str = ""


class Trace:
    """The recorded operations and module calls of a network's forward, and the layers that can be watched."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        """Run `images` [B, 3, H, W] through `network` once (a single image twice). Errors of the network are passed on.

        `result` is the network's result.
        """
        self.network = network
        self.result, self.recording = record(network, images if len(images) > 1 else torch.cat([images, images]))
        self._axes, self._norms = follow_axes(self.recording), Norms(self.recording)
        self._returned: dict[Value, ModuleCall] = {}
        for call in self.recording.calls:
            if call.path and call.output is not None and _made_in(call, call.output):
                self._returned[call.output] = call  # the outermost module
        self._weighted = [
            operation
            for operation in self.recording.operations
            if is_convolution(operation) or self._is_dense(operation)
        ]
        self._blocks = Blocks(network, self.recording, self._weighted, self._has_maps)
        self._by_path: dict[str, list[ModuleCall]] = {}
        for call in self.recording.calls:
            self._by_path.setdefault(call.path, []).append(call)

    def _is_dense(self, operation: Operation) -> bool:
        """Return whether an operation is a linear layer on maps with more than one position per image."""
        if not is_linear(operation):
            return False
        layout = self._layout(operation.output)
        return layout is not None and layout.axes is not None and layout.shape[2:] != (1, 1)

    def _layout(self, value: Value) -> Layout | None:
        axes: Axes | None = self._axes.get(value)
        return None if axes is None else layout_of(axes, self.recording.batch)

    # Single layers

    def _activation(self, name: str, operation: Operation) -> WatchedLayer | None:
        """Return the activation of a convolution or linear layer as a layer with this name; None where its channel axis
        is unknown.
        """
        activation = activation_of(self._norms, operation)
        layout = self._layout(activation.value)
        if layout is None:
            return None
        return _watched(name, self._place(activation.value), layout, activation.after, activation.signed)

    def _output(self, name: str, call: ModuleCall) -> WatchedLayer | None:
        """Return the result of a module's call as a layer with this name; None where its channel axis is unknown."""
        layout = None if call.output is None else self._layout(call.output)
        if call.output is None or layout is None:
            return None
        point = _Tensor(call.output, call.path, call.number)
        return _watched(name, point, layout, ending_of(call.output), is_signed(call.output))

    def _place(self, value: Value) -> _Tensor:
        """Return how a hook finds a value: by the outermost module that computes and returns it, else by the ATen
        function.
        """
        call = self._returned.get(value)
        if call is not None:
            return _Tensor(value, call.path, call.number)
        operation = value.producer
        assert operation is not None
        return _Tensor(value, operation.module, operation.occurrence, operation.function)

    def kernel(self, layer: WatchedLayer) -> Tensor | None:
        """Return the weights [units, inputs, h, w] of the last convolution before a layer's output with as many
        outputs as the layer has units.

        Norms, nonlinearities, pooling and sums may lie in between. None where there is no such convolution, as behind a
        concatenation.
        """
        value = self.value_of(layer)
        for operation in reversed(sources_of(value) if value is not None else []):
            module = self.network.get_submodule(operation.module)
            if isinstance(module, nn.Conv2d) and module.out_channels == layer.units:
                return module.weight.detach()
        return None

    def value_of(self, layer: WatchedLayer) -> Value | None:
        """Return the recorded value that is a layer's output; None where the forward has none."""
        if layer.function:
            ran = ((operation.function, operation.occurrence, operation) for operation in self.recording.operations)
            return next(
                (operation.output for name, call, operation in ran if (name, call) == (layer.function, layer.call)),
                None,
            )
        calls = self._by_path.get(layer.module, [])
        return calls[layer.call].output if layer.call < len(calls) else None

    def position(self, layer: WatchedLayer) -> int:
        """Return how many operations run before the one that computes a layer's output; -1 where none does."""
        value = self.value_of(layer)
        return value.producer.position if value is not None and value.producer is not None else -1

    # Layers by rule

    def convolutions(self) -> list[WatchedLayer]:
        """Return the activation of every convolution, and of every linear layer on maps, named by its module's path.

        Each includes the norm and nonlinearity behind it. Activations whose channel axis is unknown are left out.
        """
        names = self._names(self._weighted)
        layers = []
        for name, operation in zip(names, self._weighted, strict=True):
            layer = self._activation(name, operation)
            if layer is not None:
                layers.append(layer)
        return layers

    def _names(self, operations: list[Operation]) -> list[str]:
        """Return the name of the layer of each operation, a convolution or linear layer.

        That is the path of the convolution or linear module that ran it; else the path of its weights, without the
        final `weight`; else the path of the module that ran it, with the function's name. `#1`, `#2` … follow where
        several layers would have one name.
        """
        bases = []
        for operation in operations:
            parameter = parameter_of(operation)
            if isinstance(self.network.get_submodule(operation.module), nn.modules.conv._ConvNd | nn.Linear):
                bases.append(operation.module)
            elif parameter:
                bases.append(re.sub("[._]weight$", "", parameter))
            else:
                bases.append(f"{operation.module}.{operation.name}".lstrip("."))
        return _numbered(bases)

    def neurons(self) -> list[WatchedLayer]:
        """Return the hidden neurons of a transformer's blocks, where they have maps of more than one position.

        Networks without attention have none.
        """
        hidden = set(hidden_neurons(self.recording, self._weighted, self._norms))
        named = zip(self._names(self._weighted), self._weighted, strict=True)
        layers = [self._activation(name, operation) for name, operation in named if operation in hidden]
        return [layer for layer in layers if layer is not None and (layer.height, layer.width) != (1, 1)]

    def blocks(self) -> list[WatchedLayer]:
        """Return the outputs of the network's stages: its children, opened until there are a few blocks with maps."""
        return [layer for _, layer in self._stages()]

    def _stages(self) -> list[tuple[str, WatchedLayer]]:
        """Return (path of a stage's module, its `_block`) of each stage whose channel axis is known."""
        calls = self._blocks.find()
        names = _numbered([call.path for call in calls])
        layers = [self._block(name, call) for name, call in zip(names, calls, strict=True)]
        return [(call.path, layer) for call, layer in zip(calls, layers, strict=True) if layer is not None]

    def _block(self, name: str, call: ModuleCall) -> WatchedLayer | None:
        """Return a block's output as a layer with this name; where a convolution computes it, that one's activation.

        None where its channel axis is unknown.
        """
        producer = None if call.output is None else call.output.producer
        return self._activation(name, producer) if producer in self._weighted else self._output(name, call)

    def _has_maps(self, call: ModuleCall) -> bool:
        """Return whether a call returned maps; those of one position count if they are no class scores."""
        layout = None if call.output is None else self._layout(call.output)
        if call.output is None or layout is None:
            return False
        height, width = call.output.shape[2:] if layout.axes is None else layout.shape[2:]
        is_single = (height, width) == (1, 1)
        return not is_single or (layout.axes is None and not is_result(call.output))

    def paper(self) -> list[WatchedLayer]:
        """Return the layers that are watched by default.

        For a network of the published studies these are the studies' layers. For transformers they are the hidden
        neurons, and the outputs of stages before the last of these that have several layers but no such neurons. For
        others they are the outputs of the stages.
        """
        kind = type(self.network)
        known = PAPER.get(kind.__name__, {}) if kind.__module__.startswith("torchvision.models") else {}
        if known and all(module in self._by_path for module in known.values()):
            outputs = [self._output(name, self._by_path[module][0]) for name, module in known.items()]
            return [layer for layer in outputs if layer is not None]
        neurons = self.neurons()
        if not neurons:
            return self.blocks()
        last = max(map(self.position, neurons))
        others = [
            layer
            for path, layer in self._stages()
            if self._blocks.count(path) > 1
            and len(self._by_path[path]) == 1
            and self.position(layer) < last
            and not any(is_within(neuron.module, path) for neuron in neurons)
        ]
        return sorted(neurons + others, key=self.position)

    # Layers by name

    def choose(self, request: str) -> list[WatchedLayer]:
        """Return the layers that `--layers` names: `paper`, `all`, or names and globs separated by commas.

        Raises UsageError for a name that is not a layer or whose channel axis is unknown, ShapebiasError where no layer
        has activation maps.
        """
        if request == "all":
            chosen = self.convolutions()
        elif request == "paper":
            chosen = self.paper()
        else:
            chosen = [layer for word in _words(request) for layer in self._named(word)]
        if not chosen:
            raise ShapebiasError(
                f"{type(self.network).__name__} has no layer with activation maps [N, C, H, W]: name one of its modules"
            )
        return list({layer.point: layer for layer in chosen}.values())

    def _named(self, word: str) -> list[WatchedLayer]:
        own = _OWN_AXIS.fullmatch(word)
        word = self._own_name(word)
        if own:
            return [self._with_axis(own["name"], -1 if own["axis"] == "last" else int(own["axis"]))]
        vocabularies: tuple[Callable[[], list[WatchedLayer]], ...] = (self.paper, self.convolutions, self._modules)
        for vocabulary in vocabularies:
            matching = [layer for layer in vocabulary() if _is_called(layer.name, word)]
            if matching:
                return matching
        if any(_is_called(call.path, word) for call in self.recording.calls):
            call = next(call for call in self.recording.calls if _is_called(call.path, word))
            raise UsageError(_undecided(word, call))
        names = [layer.name for vocabulary in vocabularies for layer in vocabulary()]
        hint = ", ".join(dict.fromkeys(get_close_matches(word, names, 3) or names[:8]))
        raise UsageError(f"no layer {printable(word)}: there are {printable(hint)} … (`all`, names and globs work)")

    def _own_name(self, word: str) -> str:
        """Return `word`, a layer's name; if its module has several paths in the network, with the first of them."""
        path, mark, rest = word.partition("#")
        module = dict(self.network.named_modules(remove_duplicate=False)).get(path)
        first = {id(known): own for own, known in self.network.named_modules()}
        return word if module is None else f"{first[id(module)]}{mark}{rest}"

    def _modules(self) -> list[WatchedLayer]:
        """Return the outputs of all modules whose channel axis is known, as layers.

        A module with several paths in the network is there under each of them.
        """
        own = {id(module): path for path, module in self.network.named_modules()}
        aliases = {path: own[id(module)] for path, module in self.network.named_modules(remove_duplicate=False)}
        pairs = [(path, call) for path, first in aliases.items() for call in self._by_path.get(first, []) if path]
        names = _numbered([path for path, _ in pairs])
        layers = (
            self._output(name, call)
            for name, (_, call) in zip(names, pairs, strict=True)
            if call.output is not None and call.output.depends
        )
        return [layer for layer in layers if layer is not None]

    def _with_axis(self, name: str, channels: int) -> WatchedLayer:
        """Return the output of the first call of the module `name`, with the axis `channels` as its channels.

        Raises UsageError where there is no such module or axis.
        """
        calls = [call for call in self._by_path.get(name, []) if call.output is not None]
        if not calls or calls[0].output is None:
            raise UsageError(f"no layer {printable(name)}: [channels=…] is for the path of a module")
        value = calls[0].output
        layout = layout_by_hand(value.shape, channels)
        if layout is None:
            raise UsageError(f"layer {printable(name)} gives {_shape(value)}: it has no channels at axis {channels}")
        point = _Tensor(value, calls[0].path, calls[0].number)
        named = f"{name}[channels={'last' if channels == -1 else channels}]"
        units = value.shape[channels]
        return replace(_watched(named, point, layout, ending_of(value), is_signed(value)), units=units)


def repetition_notes(layers: list[WatchedLayer]) -> list[str]:
    """Return a line for the user on each module that runs several times in a forward."""
    names: dict[str, list[str]] = {}
    for layer in layers:
        base, mark, _ = layer.name.partition("#")
        if mark:
            names.setdefault(base, []).append(layer.name)
    return [
        f"{base} runs several times in a forward: {', '.join(own[:4])}{' …' if len(own) > 4 else ''} "
        f"{'are layers of their own' if len(own) > 1 else 'is one of its calls'}"
        for base, own in names.items()
    ]


def _watched(name: str, point: _Tensor, layout: Layout, after: tuple[str, ...], signed: bool) -> WatchedLayer:
    plain = layout.axes is None
    units, height, width = point.value.shape[1:] if plain else layout.shape[1:]
    return WatchedLayer(
        name=name,
        module=point.module,
        call=point.call,
        function=point.function,
        units=units,
        height=height,
        width=width,
        layout=CHANNELS_FIRST if plain else layout,
        after=after,
        signed=signed,
    )


def _numbered(names: list[str]) -> list[str]:
    """Return names with `#1`, `#2` … added to those that appear more than once."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(f"{name}#{seen[name]}" if names.count(name) > 1 else name)
    return numbered


def _made_in(call: ModuleCall, value: Value) -> bool:
    """Return whether a value was computed while a module ran, rather than passed through."""
    return value.producer is not None and call.first <= value.producer.position < call.last


def _words(request: str) -> list[str]:
    return [word.strip() for word in request.split(",") if word.strip()]


def _is_called(name: str, word: str) -> bool:
    """Return whether a word of `--layers` matches a layer: its name, its name without the number of the call, or a
    glob.
    """
    return word in (name, name.partition("#")[0]) or fnmatchcase(name, word)


def _undecided(word: str, call: ModuleCall) -> str:
    """Return the error message for a module whose output has no maps, or whose channel axis is unknown."""
    if call.output is None or not call.output.depends:
        return f"layer {printable(word)} returns no tensor that is computed from the image: name another"
    if len(call.output.shape) > 4:
        return f"layer {printable(word)} gives {_shape(call.output)}: maps have two axes beside images and channels"
    return (
        f"layer {printable(word)} gives {_shape(call.output)}: which of its axes are channels cannot be told; "
        f"write '{printable(word)}[channels=last]', or the number of the axis"
    )


def _shape(value: Value) -> str:
    return f"[{', '.join(['N', *map(str, value.shape[1:])])}]"
