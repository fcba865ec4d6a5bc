"""Hooks into a network: watches its layers, and replaces the forward of modules for a while."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.models.flow.dispatch import intercepting, part_by_part
from shapebias.precompute.models.flow.maps import CHANNELS_FIRST, Layout
from shapebias.precompute.models.flow.recording import tensors_in

Point = tuple[str, int, str]  # module, call, function


@dataclass(frozen=True)
class WatchedLayer:
    """A layer with its name for the user: which tensor of a forward it is, and how that tensor holds its maps.

    name:                  the user's name for it
    module:                path of the module whose output the tensor is, or inside which it is computed
    call:                  the number of the call, from 0, in the order in which calls end
    function:              empty for a module's output; else the tensor is the result of this ATen function's `call`-th
                           call
    after:                 the operations behind its convolution that it includes (`norm`, `relu`); for the output of a
                           block its last operations (`sum`, `relu`)
    signed:                whether no nonlinearity is among them, so that values may be negative
    units, height, width:  the shape of its maps
    layout:                how the tensor holds the maps
    """

    name: str
    module: str
    call: int
    units: int
    height: int
    width: int
    function: str = ""
    layout: Layout = CHANNELS_FIRST
    after: tuple[str, ...] = ()
    signed: bool = False

    @property
    def point(self) -> Point:
        """The position of its tensor in a forward: layers with equal positions are the same layer."""
        return self.module, self.call, self.function

    @property
    def ending(self) -> str:
        """The operations that it includes, in a few words: `after norm, relu`."""
        words = f"after {', '.join(self.after)}" if self.after else ""
        return ", ".join(filter(None, [words, "signed" if self.signed else ""]))


class Watch:
    """While it is active, `see(i, maps)` is called in every forward of `network` with the maps [B, units, h, w] of the
    i-th layer.

    It is called inside the forward, before a later in-place operation can change the output. If `see` returns maps of
    the same shape, the network continues with those in place of the layer's. The forward raises ShapebiasError where a
    layer does not run in it, and ValueError where a layer has another number of units, or of images, than it should.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[WatchedLayer], see: Callable[[int, Tensor], Tensor | None]
    ) -> None:
        self._network, self._layers, self._see = network, layers, see
        self._calls: Counter[str] = Counter()
        self._images = 0  # number of images in the current forward
        self._missing: set[int] = set()  # layers that it has not reached
        self._stack = ExitStack()
        self._interception = _Interception(
            {(layer.function, layer.call): index for index, layer in enumerate(layers) if layer.function}, self._changed
        )

    def __enter__(self) -> Self:
        paths = dict.fromkeys(layer.module for layer in self._layers if not layer.function)
        with ExitStack() as stack:
            begun = self._network.register_forward_pre_hook(lambda _, inputs: self._begin(len(inputs[0])))
            stack.callback(begun.remove)
            stack.callback(self._network.register_forward_hook(lambda *_: self._end()).remove)
            for path in paths:
                stack.callback(self._network.get_submodule(path).register_forward_hook(self._hook(path)).remove)
            stack.enter_context(part_by_part())
            if self._interception.wanted:
                stack.enter_context(intercepting(self._interception.run))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _begin(self, images: int) -> None:
        self._images = images
        self._missing = set(range(len(self._layers)))
        self._calls.clear()
        self._interception.calls.clear()

    def _end(self) -> None:
        if self._missing:
            name = printable(self._layers[min(self._missing)].name, 60)
            raise ShapebiasError(f"layer {name} does not run for all images: leave it out of --layers")

    def _changed(self, index: int, output: Tensor) -> Tensor | None:
        """Show `see` the maps of the layer at `index`; return what replaces its `output`, None where that stays.

        Raises ValueError where the output has not the layer's units, or not one row for each image; the output of a
        layer of 0 units is not checked.
        """
        layer, layout = self._layers[index], self._layers[index].layout
        maps = layout.maps(output)
        if layer.units and (maps.ndim != 4 or maps.shape[:2] != (self._images, layer.units)):
            raise ValueError(f"{layer.name} is not of the size that the network was traced with")
        self._missing.discard(index)
        changed = self._see(index, maps)
        return None if changed is None else layout.restore(changed, output)

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        wanted = {
            layer.call: index for index, layer in enumerate(self._layers) if layer.module == path and not layer.function
        }

        def seen(module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
            call = self._calls[path]
            self._calls[path] += 1
            tensor = first_tensor(output)
            if call not in wanted or tensor is None:
                return None
            with self._interception.paused():
                changed = self._changed(wanted[call], tensor)
                if changed is None or isinstance(output, Tensor):
                    return changed
                tensor.copy_(changed)  # one of several outputs
            return None

        return seen


@dataclass
class _Interception:
    """Watches the results of ATen functions that no module returns.

    wanted:   by ATen function and number of its call, the index of the layer
    changed:  gets the index of a layer and its output; returns what replaces that, None where it stays
    calls:    how often each function was called in the current forward
    """

    wanted: dict[tuple[str, int], int]
    changed: Callable[[int, Tensor], Tensor | None]
    calls: Counter[str] = field(default_factory=Counter)
    _paused: bool = False

    def __post_init__(self) -> None:
        self._functions = {name for name, _ in self.wanted}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the ATen functions in the block, which belong to the code that looks at a layer."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def run(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run an ATen function and return its result, or what replaces that where it is a layer's output."""
        result = func(*args, **options)
        name = func.overloadpacket.__name__
        if self._paused or name not in self._functions:
            return result
        index = self.wanted.get((name, self.calls[name]))
        self.calls[name] += 1
        changed = None if index is None or not isinstance(result, Tensor) else self.changed(index, result)
        if changed is None:
            return result
        return result.copy_(changed) if name.endswith("_") else changed


def first_tensor(output: Any) -> Tensor | None:
    """Return the tensor that a module returned; the first where it returned several (GoogLeNet, timm's tuples).

    None where it returned none.
    """
    return next(tensors_in(output), None)


@contextmanager
def replaced(module: nn.Module, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Replace the forward of a module during the block; `make` gets the old forward and returns the new one.

    Afterwards the module has its old forward again, whether that is its class's or was set on the module itself.
    """
    had = module.__dict__.get("forward")
    module.__dict__["forward"] = make(module.forward)
    try:
        yield
    finally:
        if had is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = had
