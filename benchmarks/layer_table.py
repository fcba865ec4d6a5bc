"""The layers that are found in 40 networks of torchvision and 40 of timm: the table of docs/models.md.

    python -m benchmarks.layer_table [--only resnet50,timm:levit_128] [--write docs/models.md]

Weights are random, nothing is downloaded. For the default layers and for `--layers all` the table says how many there
are and what they went through. The units of each layer are compared with the channels that a module declares: the one
whose name the layer has, or one that takes the layer's tensor as its input, or the last one in it. Fails if one has
other units, except where a convolution runs on several heads at once, which the table says.
"""

import argparse
import gc
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.models.hooks import WatchedLayer, first_tensor
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec


def _names(*lines: str) -> list[str]:
    return " ".join(lines).split()


TORCHVISION = _names(
    "alexnet vgg11 vgg11_bn vgg16_bn vgg19 googlenet inception_v3 resnet18 resnet34 resnet50 resnet101 resnet152",
    "resnext50_32x4d wide_resnet50_2 densenet121 densenet161 densenet169 mobilenet_v2 mobilenet_v3_small",
    "mobilenet_v3_large efficientnet_b0 efficientnet_b2 efficientnet_v2_s convnext_tiny convnext_small",
    "shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 mnasnet0_5 mnasnet1_0 regnet_x_400mf",
    "regnet_y_400mf regnet_y_800mf swin_t swin_s swin_v2_t vit_b_16 vit_b_32 maxvit_t",
)
TIMM = _names(
    "vit_tiny_patch16_224 vit_small_patch14_reg4_dinov2 deit_tiny_distilled_patch16_224 beit_base_patch16_224",
    "cait_xxs24_224 xcit_nano_12_p16_224 eva02_tiny_patch14_224 swin_tiny_patch4_window7_224 swinv2_cr_tiny_ns_224",
    "mvitv2_tiny hiera_tiny_224 nest_tiny pit_ti_224 twins_svt_small pvt_v2_b0 levit_128 crossvit_tiny_240",
    "coat_lite_tiny coatnet_pico_rw_224 mobilevit_xxs mobilevitv2_050 tiny_vit_5m_224 edgenext_xx_small davit_tiny",
    "mixer_s32_224 resmlp_12_224 mambaout_femto convnextv2_atto poolformer_s12 focalnet_tiny_srf resnetv2_50",
    "nf_resnet26 gernet_s hgnet_tiny botnet26t_256 repvgg_a0 hrnet_w18_small tresnet_m rexnet_100",
    "efficientnet_cc_b0_4e",
)
START, END = "<!-- made by benchmarks/layer_table.py -->", "<!-- end of the table -->"
_OUTPUTS = ("out_channels", "out_features", "num_features", "num_channels", "normalized_shape")
_PASSING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ReLU, nn.Dropout, nn.Identity)
_INPUTS = ("in_channels", "in_features", "num_features", "num_channels", "normalized_shape")


def main() -> None:
    """Look at every network, print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="these networks, separated by commas")
    parser.add_argument("--write", type=Path, help="the file whose table is replaced")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    names = options.only.split(",") if options.only else [*TORCHVISION, *(f"timm:{name}" for name in TIMM)]
    rows, wrong = [], 0
    for name in names:
        row, errors = describe(name)
        rows.append(row)
        wrong += errors
        print(row, flush=True)
        gc.collect()
    lines = ["| network | px | default layers | `--layers all` | units |", "|---|---|---|---|---|", *rows]
    if options.write is not None:
        text = options.write.read_text()
        before, after = text.partition(START)[0], text.partition(END)[2]
        options.write.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")
    sys.exit(wrong > 0)


def describe(name: str) -> tuple[str, int]:
    """Return a network's row of the Markdown table, and how many layers have another number of units than is declared.

    A network whose layers cannot be found has the reason in its row, and counts as one such layer.
    """
    torch.manual_seed(0)
    model = load_model(parse_spec(name), download=False)
    side = model.preprocessing.geometry.crop
    images = torch.randn(2, 3, side, side)
    try:
        trace = Trace(model.network, images)
        default, convolutions = trace.choose("paper"), trace.choose("all")
    except ShapebiasError as error:
        return f"| `{name}` | {side} | {error} | | |", 1
    layers = list({layer.point: layer for layer in default + convolutions}.values())
    declared = declared_channels(model.network, layers, images)
    heads = [layer for layer in layers if _is_multiple(layer.units, declared[layer.name])]
    wrong = [layer for layer in layers if layer not in heads and layer.units not in declared[layer.name]]
    units = f"{len(layers) - len(heads) - len(wrong)} checked"
    units += f", {len(heads)} of several heads" if heads else ""
    units += f", wrong: {', '.join(layer.name for layer in wrong)}" if wrong else ""
    return f"| `{name}` | {side} | {_summary(default)} | {_summary(convolutions)} | {units} |", len(wrong)


def _summary(layers: list[WatchedLayer]) -> str:
    """Return how many layers there are, and what they went through, the most frequent first."""
    endings = Counter(layer.ending.removeprefix("after ") or "pooled or gated" for layer in layers)
    return f"{len(layers)}: " + "; ".join(f"{count} {ending}" for ending, count in endings.most_common())


def _is_multiple(units: int, declared: set[int]) -> bool:
    return any(units > channels and units % channels == 0 for channels in declared) and units not in declared


def declared_channels(network: nn.Module, layers: list[WatchedLayer], images: Tensor) -> dict[str, set[int]]:
    """Return for each layer the numbers of channels that modules declare: one for the module or weights by its name,
    for other modules those that take its output, or else the last one in it."""
    by_name = {layer.name: _channels_of_name(network, layer.name.partition("#")[0]) for layer in layers}
    others = {layer.module for layer in layers if not by_name[layer.name]}
    takers = _channels_of_takers(network, others, images)
    return {layer.name: by_name[layer.name] or takers[layer.module] for layer in layers}


def _channels_of_name(network: nn.Module, name: str) -> set[int]:
    parameters = dict(network.named_parameters())
    if f"{name}_weight" in parameters:
        return {len(parameters[f"{name}_weight"])}
    modules = dict(network.named_modules())
    owner = name.rpartition(".")[0]  # of a function in a module that holds the weights
    module = modules.get(name) or modules.get(owner)
    return _declared(module, _OUTPUTS) if module is not None and not _is_norm(module) else set()


def _channels_of_takers(network: nn.Module, paths: set[str], images: Tensor) -> dict[str, set[int]]:
    """Return for modules the inputs that those modules declare which get their output as it is, or pooled."""
    outputs: dict[int, tuple[str, Tensor]] = {}
    numbers: dict[str, set[int]] = {path: set() for path in paths}

    def keep(path: str, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            outputs[tensor.data_ptr()] = path, tensor

    def take(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        tensor = first_tensor(inputs)
        path, known = outputs.get(tensor.data_ptr(), ("", None)) if tensor is not None else ("", None)
        if known is None or tensor is None or tensor.numel() != known.numel():
            return
        numbers[path] |= _declared(module, _INPUTS)
        if isinstance(module, _PASSING):
            keep(path, output)

    handles = [module.register_forward_hook(take) for module in network.modules()]
    for path in paths:
        hook = network.get_submodule(path).register_forward_hook
        handles.append(hook(lambda module, inputs, output, path=path: keep(path, output)))
    with torch.inference_mode():
        network(images)
    for handle in handles:
        handle.remove()
    return {path: channels or _last_in(network.get_submodule(path)) for path, channels in numbers.items()}


def _last_in(module: nn.Module) -> set[int]:
    declared = [channels for part in module.modules() if (channels := _declared(part, _OUTPUTS))]
    return declared[-1] if declared else set()


def _declared(module: nn.Module, names: Iterable[str]) -> set[int]:
    """Return what a module says of its channels: a convolution, a linear layer or a norm, by whatever name."""
    if not any(True for _ in module.parameters(recurse=False)):
        return set()
    values = [getattr(module, name, None) for name in names]
    return {value[-1] if isinstance(value, tuple) else value for value in values if isinstance(value, int | tuple)}


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


if __name__ == "__main__":
    main()
