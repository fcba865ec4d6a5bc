"""What is hooked into a network: its layers, while they are watched, and modules with another forward for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn


@dataclass(frozen=True)
class WatchedLayer:
    """A layer by the user's name for it: the output of the `call`-th call (in a forward) of the module at `module`."""

    name: str
    module: str
    call: int
    units: int
    height: int
    width: int


class Watch:
    """While entered, `see(i, output)` is called in every forward of `network` when the i-th layer has its output.

    It is called inside the forward, before a later in-place operation can change the output. The network goes on with
    what it returns, or with the output where that is None.
    """

    def __init__(
        self, network: nn.Module, layers: list[WatchedLayer], see: Callable[[int, Tensor], Tensor | None]
    ) -> None:
        self._network, self._layers, self._see = network, layers, see
        self._handles: list[Any] = []
        self._calls: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._handles = [self._network.register_forward_pre_hook(lambda *_: self._calls.clear())]
        for path in dict.fromkeys(layer.module for layer in self._layers):
            self._handles.append(self._network.get_submodule(path).register_forward_hook(self._hook(path)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        wanted = {layer.call: index for index, layer in enumerate(self._layers) if layer.module == path}

        def seen(module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
            call = self._calls.get(path, 0)
            self._calls[path] = call + 1
            tensor = first_tensor(output)
            changed = self._see(wanted[call], tensor) if call in wanted and tensor is not None else None
            if changed is None or isinstance(output, Tensor) or tensor is None:
                return changed
            tensor.copy_(changed)  # one of several outputs
            return None

        return seen


def first_tensor(output: Any) -> Tensor | None:
    """The tensor that a module returned, the first where it returned several (GoogLeNet's, timm's tuples)."""
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return next((value for value in values if isinstance(value, Tensor)), None)


@contextmanager
def replaced(module: nn.Module, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """The module with another forward while the block runs; its class, and a forward of its own, stay as they were."""
    had = module.__dict__.get("forward")
    module.__dict__["forward"] = make(module.forward)
    try:
        yield
    finally:
        if had is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = had
