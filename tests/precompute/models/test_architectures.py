"""Layers of torchvision's and timm's networks against hooks by hand.

Of each network a table says by which module's output a few layers' maps are known; a function puts that in the order
of the image where it is in another. All layers must have the channels of the module whose name they have.
"""

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from shapebias.precompute.models.hooks import Watch
from shapebias.precompute.models.layers import Trace
from tests.support.architecture_tables import CASES, Known


def build(name: str, options: dict[str, Any]) -> nn.Module:
    """Return the network in eval mode, with norms that change what they see."""
    torch.manual_seed(0)
    if name.startswith("timm:"):
        network = timm.create_model(name.removeprefix("timm:"), pretrained=False, **options)
    else:
        network = torchvision.models.get_model(name, weights=None, **options)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 1 and tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5)
    return network.eval()


def by_hand(network: nn.Module, table: dict[str, Known], images: Tensor) -> dict[str, Tensor]:
    """Return the maps that hooks on the modules of a table see."""
    outputs: dict[str, list[Tensor]] = {}
    handles = []
    for known in table.values():
        path = known if isinstance(known, str) else known[0]

        def keep(module: nn.Module, inputs: Any, output: Any, path: str = path) -> None:
            outputs.setdefault(path, []).append((output if isinstance(output, Tensor) else output[0]).clone())

        if path not in outputs:
            outputs[path] = []
            handles.append(network.get_submodule(path).register_forward_hook(keep))
    with torch.inference_mode():
        network(images)
        for handle in handles:
            handle.remove()
        maps = {}
        for name, known in table.items():
            if isinstance(known, str):
                (maps[name],) = outputs[known]
            elif isinstance(known[1], int):
                maps[name] = outputs[known[0]][known[1]]
            else:
                (output,) = outputs[known[0]]
                maps[name] = known[1](network, output)
    return maps


def out_channels(network: nn.Module, name: str) -> int | None:
    """Return how many channels the module or the weights by a layer's name make."""
    name = name.partition("#")[0]
    if name.endswith("in_proj"):
        return len(network.get_parameter(f"{name}_weight"))
    module = network.get_submodule(name)
    channels = getattr(module, "out_channels", getattr(module, "out_features", None))
    return channels if isinstance(channels, int) else None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side", "options", "table"), CASES, ids=[case[0] for case in CASES])
def test_layers_are_what_hooks_by_hand_see(
    name: str, side: int, options: dict[str, Any], table: dict[str, Known]
) -> None:
    network = build(name, options)
    trace = Trace(network, torch.rand(2, 3, side, side))
    layers = trace.choose(",".join(table))
    assert [layer.name for layer in layers] == list(table)
    seen: dict[str, Tensor] = {}
    images = torch.randn(3, 3, side, side)  # another batch than the traced one
    with torch.inference_mode(), Watch(network, layers, lambda i, maps: seen.update({layers[i].name: maps.clone()})):
        network(images)
    for layer, (name, maps) in zip(layers, by_hand(network, table, images).items(), strict=True):
        assert seen[name].shape == (3, layer.units, layer.height, layer.width)
        torch.testing.assert_close(
            seen[name], maps, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    for layer in trace.choose("all"):
        assert layer.units == out_channels(network, layer.name), layer.name
