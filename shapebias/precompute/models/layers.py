"""Which layers of a network are watched, found by following one small batch through it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.hooks import WatchedLayer, first_tensor

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_FOLLOWERS = (  # what a convolution's output goes through before it counts as the unit's activation
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.Identity,
)
_INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
_PAPER: dict[str, dict[str, str]] = {  # class in torchvision.models: the studies' layers and their modules
    "AlexNet": {f"conv{number}": f"features.{index}" for number, index in enumerate((1, 4, 7, 9, 11), 1)},
    "GoogLeNet": {f"conv{number}": f"conv{number}" for number in (1, 2, 3)}
    | {f"inception{name}": f"inception{name}" for name in _INCEPTIONS},
    "ResNet": {"conv1": "relu"} | {f"layer{number}": f"layer{number}" for number in (1, 2, 3, 4)},
    "DenseNet": {"conv0": "features.relu0"}
    | {f"denseblock{number}": f"features.denseblock{number}" for number in (1, 2, 3, 4)},
    "MobileNetV2": {"conv1": "features.0"}  # its seven stages, as in table 2 of Sandler et al. 2018
    | {f"bottleneck{number}": f"features.{index}" for number, index in enumerate((1, 3, 6, 10, 13, 16, 17), 1)}
    | {"conv2": "features.18"},
}
STUDIED = ("alexnet", "googlenet", "resnet50", "densenet161", "mobilenet_v2")  # the networks of the two studies
_ENOUGH_BLOCKS = 3


@dataclass
class _Call:
    """One call of a module during the traced forward. `output` is kept alive, so that its identity stays its own."""

    path: str
    module: nn.Module
    number: int
    inputs: list[Tensor]
    output: Tensor | None

    def layer(self, name: str) -> WatchedLayer:
        assert self.output is not None
        _, units, height, width = self.output.shape
        return WatchedLayer(name, self.path, self.number, units, height, width)

    @property
    def has_maps(self) -> bool:
        return self.output is not None and self.output.ndim == 4


class Trace:
    """The calls of a network's modules in the order they ended, and the layers that can be watched."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        """Runs `images` [B, 3, H, W] through `network` once. What the network raises is raised.

        `outputs` is then the number of its class scores, None where it gives no [B, classes].
        """
        self.network = network
        self.calls: list[_Call] = []
        self._convolutions = {
            path: sum(isinstance(each, _CONVOLUTIONS) for each in module.modules())
            for path, module in network.named_modules()
        }
        hooks = [module.register_forward_hook(self._recorder(path)) for path, module in network.named_modules() if path]
        try:
            with torch.inference_mode():
                scores = first_tensor(network(images))
        finally:
            for hook in hooks:
                hook.remove()
        self.outputs = scores.shape[1] if scores is not None and scores.ndim == 2 else None
        self.by_path: dict[str, _Call] = {}
        for call in self.calls:
            self.by_path.setdefault(call.path, call)

    def _recorder(self, path: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(module: nn.Module, inputs: Any, output: Any) -> None:
            number = sum(call.path == path for call in self.calls)
            tensors = [each for each in inputs if isinstance(each, Tensor)]
            self.calls.append(_Call(path, module, number, tensors, first_tensor(output)))

        return record

    def _activated(self, convolution: _Call) -> _Call:
        """The call whose output is a convolution's activation: after its norm, its nonlinearity, its wrapper."""
        end = convolution
        following = self.calls[self.calls.index(convolution) + 1 :]
        for call in following:
            takes_it = any(each is end.output for each in call.inputs)
            if takes_it and isinstance(call.module, _FOLLOWERS) and call.has_maps:
                end = call
            elif takes_it and not call.path.startswith(f"{convolution.path}."):
                break
        parent = convolution.path.rpartition(".")[0]
        while parent and self._convolutions[parent] == 1:  # a wrapper may apply the nonlinearity as a function
            call = self.by_path.get(parent, end)
            if call.output is not None and end.output is not None and call.output.shape == end.output.shape:
                end = call
            parent = parent.rpartition(".")[0]
        return end

    def kernel(self, layer: WatchedLayer) -> Tensor | None:
        """The weights [units, inputs, h, w] of the last convolution before a layer's output that has its units.

        None where there is none: the layer joins several, or adds what has none.
        """
        last = next(
            index for index, call in enumerate(self.calls) if (call.path, call.number) == (layer.module, layer.call)
        )
        for call in reversed(self.calls[: last + 1]):
            if isinstance(call.module, nn.Conv2d) and call.module.out_channels == layer.units:
                return call.module.weight.detach()
        return None

    def convolutions(self) -> list[WatchedLayer]:
        """Every convolution, by its module path, watched after its nonlinearity where it has one."""
        found = [call for call in self.calls if isinstance(call.module, _CONVOLUTIONS) and call.has_maps]
        return [self._activated(call).layer(call.path) for call in found if call.number == 0]

    def blocks(self) -> list[WatchedLayer]:
        """The outputs of the network's stages: its children, opened until there are a few blocks with maps."""
        opened = {""}
        while True:
            found = list(self._blocks_of("", opened))
            blocks = [call for call in found if not isinstance(call.module, _CONVOLUTIONS)]
            parts = [call.path for call in blocks if next(iter(call.module.children()), None) is not None]
            if len(blocks) >= _ENOUGH_BLOCKS or not parts:
                break
            opened.add(max(parts, key=lambda path: self._convolutions[path]))
        return [
            (self._activated(call) if isinstance(call.module, _CONVOLUTIONS) else call).layer(call.path)
            for call in found
        ]

    def _blocks_of(self, path: str, opened: set[str]) -> Iterator[_Call]:
        parent = self.network.get_submodule(path)
        paths = [f"{path}.{name}" if path else name for name, _ in parent.named_children()]
        ended = {call.path: index for index, call in reversed(list(enumerate(self.calls)))}
        for child in sorted(paths, key=lambda child: ended.get(child, _first_inside(ended, child))):
            if self._convolutions[child] == 0:
                continue
            call = self.by_path.get(child)
            if call is not None and call.has_maps and child not in opened:
                yield call
            else:
                yield from self._blocks_of(child, opened)

    def paper(self) -> list[WatchedLayer]:
        """The layers of the published studies where the network is one of theirs, else its blocks."""
        kind = type(self.network)
        known = _PAPER.get(kind.__name__, {}) if kind.__module__.startswith("torchvision.models") else {}
        if not known or any(module not in self.by_path for module in known.values()):
            return self.blocks()
        return [self.by_path[module].layer(name) for name, module in known.items()]

    def choose(self, wish: str) -> list[WatchedLayer]:
        """The layers that `--layers` names: `paper`, `all`, or names and globs separated by commas.

        Raises UsageError for a name that is no layer, ShapebiasError where nothing has maps [N, C, H, W].
        """
        if wish == "all":
            chosen = self.convolutions()
        elif wish == "paper":
            chosen = self.paper()
        else:
            chosen = [layer for word in wish.split(",") if word.strip() for layer in self._named(word.strip())]
        if not chosen:
            raise ShapebiasError(f"{type(self.network).__name__} has no layer with activation maps [N, C, H, W]")
        return list({(layer.module, layer.call): layer for layer in chosen}.values())

    def _named(self, word: str) -> list[WatchedLayer]:
        modules = [call.layer(call.path) for call in self.calls if call.has_maps and call.number == 0]
        vocabularies = (self.paper(), self.convolutions(), modules)
        for layers in vocabularies:
            found = [layer for layer in layers if layer.name == word or fnmatchcase(layer.name, word)]
            if found:
                return found
        if any(call.path == word for call in self.calls):
            raise UsageError(f"layer {printable(word)} gives no activation maps [N, C, H, W]: name another")
        names = [layer.name for layers in vocabularies for layer in layers]
        hint = ", ".join(dict.fromkeys(get_close_matches(word, names, 3) or names[:8]))
        raise UsageError(f"no layer {printable(word)}: there are {printable(hint)} … (`all`, names and globs work)")


def _first_inside(ended: dict[str, int], path: str) -> int:
    inside = [index for name, index in ended.items() if name.startswith(f"{path}.")]
    return min(inside, default=0)
