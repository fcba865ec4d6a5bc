"""The remainder of a network behind a watched layer, run on its own with outputs of that layer."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shapebias.precompute.models.hooks import Watch, WatchedLayer, first_tensor, replaced

# Differences of scores that are allowed, as fractions of the largest score, in float32 and in half precision: they come
# from other batch sizes. Whatever else differs turns into NaN, by the placeholders.
_TOLERANCE = 1e-3
_HALF_TOLERANCE = 3e-2


class NoRestError(Exception):
    """The remainder of a network needs more than the layer's output; the message says what."""


@dataclass
class _Call:
    """One call of a module while the sample was run.

    path:    the path of the module in the network
    number:  the call's number among the calls of this module, in the order in which they ended; -1 before its end
    outer:   the call of the module that made it; None where that is the network
    ended:   its position in the order in which all calls ended; -1 before its end
    output:  what the module returned; it is dropped once the steps are planned
    """

    path: str
    number: int
    outer: "_Call | None"
    ended: int = -1
    output: Any = None


@dataclass
class _Step:
    """The action of a module's call in a replay: return the layer's output, return a placeholder, or else run."""

    is_layer: bool = False
    placeholder: Tensor | None = None


@dataclass
class _CallRecorder:
    """Records the calls of a network's modules; `calls` has them in the order in which they began."""

    calls: list[_Call] = field(default_factory=list)
    _open: list[_Call] = field(default_factory=list)
    _ended: int = 0

    def begin(self, path: str) -> None:
        call = _Call(path, -1, self._open[-1] if self._open else None)
        self.calls.append(call)
        self._open.append(call)

    def end(self, path: str, output: Any) -> None:
        call = self._open.pop()
        call.number = sum(other.path == path and other.ended >= 0 for other in self.calls)
        call.ended, self._ended = self._ended, self._ended + 1
        call.output = output

    @contextmanager
    def on(self, network: nn.Module) -> Iterator[None]:
        """Record calls during the block."""
        handles = []
        for path, module in network.named_modules():
            if path:
                handles.append(module.register_forward_pre_hook(lambda *_, path=path: self.begin(path)))
                handles.append(module.register_forward_hook(lambda *seen, path=path: self.end(path, seen[2])))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class Rest:
    """The computation of a network behind a layer: call it with outputs of the layer, of any number of rows.

    In a replay the network's own forward runs. Every module call that ended before the layer's, and gave one row for
    each image, returns a placeholder of NaN at once; the layer's call returns the given output. If the scores are then
    those of the whole network, nothing else from before the layer is used: a shortcut around the layer would bring a
    NaN.
    """

    def __init__(self, network: nn.Module, layer: WatchedLayer, images: Tensor) -> None:
        """Run `images` [B >= 2, 3, H, W], as the network takes them, and compare replays with the whole network.

        Raises NoRestError where the remainder cannot be split off.
        """
        if layer.function or layer.layout.axes is not None:
            raise NoRestError("no module returns its maps unchanged")
        self._network, self._layer = network, layer
        self._image = images[:1]
        recorder, seen = _CallRecorder(), []
        with recorder.on(network), Watch(network, [layer], lambda _, output: seen.append(output.clone())):
            scores = first_tensor(network(images))
        self.output = seen[0]  # the layer's output for `images`
        self._calls = recorder.calls
        self._steps = self._plan(recorder.calls, len(images))
        for call in recorder.calls:
            call.output = None
        try:
            self._check(images, seen[0], scores)
        except NoRestError:
            raise
        except Exception as error:  # a forward of any kind, on placeholders
            raise NoRestError(f"its forward fails on placeholders ({type(error).__name__})") from error

    def first_call_behind(self, *kinds: type[nn.Module]) -> tuple[str, int]:
        """Return the module path and the number of the first call of one of `kinds` that began after the layer's call
        ended.

        Raises NoRestError where there is none.
        """
        last = self._calls.index(self._last_call(self._calls))
        for call in self._calls[last + 1 :]:
            inside = call.ended < self._calls[last].ended
            if not inside and isinstance(self._network.get_submodule(call.path), kinds):
                return call.path, call.number
        raise NoRestError("no suitable module runs after it")

    def _last_call(self, calls: list[_Call]) -> _Call:
        return next(call for call in calls if (call.path, call.number) == (self._layer.module, self._layer.call))

    def _plan(self, calls: list[_Call], rows: int) -> dict[str, list[_Step]]:
        """Return what each module's calls do in a replay, one step for each call in order, by the module's path.

        The layer's call returns the given output. A call that ended before it returns a placeholder, if it gave a
        tensor with one row for each of the sample's `rows` images. All other calls run. Calls inside one that is
        replaced never happen, so they have no step. Modules of which no call is replaced are left out.

        Raises NoRestError where the layer's call did not give one row for each image.
        """
        last = self._last_call(calls)
        if not isinstance(last.output, Tensor) or last.output.shape[0] != rows:
            raise NoRestError("its module returns more than one map per image")
        steps: dict[str, list[_Step]] = defaultdict(list)
        short: set[int] = set()
        for call in calls:
            if call.outer is not None and id(call.outer) in short:
                short.add(id(call))  # it will not be called at all
                continue
            step = _Step(is_layer=call is last)
            if call.ended < last.ended and isinstance(call.output, Tensor) and call.output.shape[:1] == (rows,):
                step.placeholder = call.output.new_full((1,) * call.output.ndim, torch.nan).expand(call.output.shape)
            if step.is_layer or step.placeholder is not None:
                short.add(id(call))
            steps[call.path].append(step)
        return {
            path: of_module
            for path, of_module in steps.items()
            if any(step.is_layer or _has_placeholder(step) for step in of_module)
        }

    def _check(self, images: Tensor, output: Tensor, scores: Tensor | None) -> None:
        """Raise NoRestError unless replays give the whole network's scores: unchanged, and with channels set to zero.

        output and scores: what the layer and the network returned for `images`.
        """
        if scores is None or scores.ndim != 2:
            raise NoRestError("the network gives no class scores")
        rows = torch.tensor([*range(len(images)), 0], device=images.device)
        if not _are_close(self(take_rows(output, rows)), scores[rows]):
            raise NoRestError("a tensor computed before it is used after it")

        def silence(_: int, seen: Tensor) -> Tensor:
            changed = seen.clone()
            changed[:, ::2] = 0
            return changed

        with Watch(self._network, [self._layer], silence):
            expected = first_tensor(self._network(images))
        if expected is None or not _are_close(self(silence(0, output)), expected):
            raise NoRestError("the network uses its output differently from its module's output")

    def __call__(self, output: Tensor) -> Tensor:
        """Return the scores [R, classes] for outputs [R, units, h, w] of the layer, which may be overwritten."""
        image = self._image.new_full((1, 1, 1, 1), torch.nan).expand(len(output), *self._image.shape[1:])
        with ExitStack() as stack:
            for path, steps in self._steps.items():
                stack.enter_context(replaced(self._network.get_submodule(path), _forward_of(steps, output)))
            scores = first_tensor(self._network(image))
        assert scores is not None
        return scores


def _has_placeholder(step: _Step) -> bool:
    return step.placeholder is not None


def _forward_of(steps: list[_Step], output: Tensor) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a function that makes, from a module's own forward, a forward for one replay.

    Its calls take the `steps` one after another, and run behind the last one. output [R, units, h, w]: the layer's.
    """

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        waiting = iter(steps)

        def forward(*inputs: Any, **options: Any) -> Any:
            step = next(waiting, _Step())
            if step.is_layer:
                return output
            if step.placeholder is not None:
                return step.placeholder[:1].expand(len(output), *step.placeholder.shape[1:])
            return function(*inputs, **options)

        return forward

    return make


def _are_close(scores: Tensor, expected: Tensor) -> bool:
    """Return whether scores are equal to the expected ones up to rounding, with NaN at the same positions."""
    tolerance = _TOLERANCE if scores.dtype == torch.float32 else _HALF_TOLERANCE
    scale = float(expected.float().abs().nan_to_num(posinf=0).max())
    return torch.allclose(scores.float(), expected.float(), rtol=0, atol=tolerance * scale + 1e-12, equal_nan=True)


def take_rows(maps: Tensor, rows: Tensor) -> Tensor:
    """Return a copy of the maps [B, C, h, w] with indices `rows`, int64 [R]: [R, C, h, w].

    The memory format stays the same, so that convolutions use the same algorithm.
    """
    if maps.is_contiguous():
        return maps.index_select(0, rows)
    return maps.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
