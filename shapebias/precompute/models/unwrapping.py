"""Finds the network inside wrappers (compiled, parallel, lazy), and refuses networks whose layers cannot be hooked."""

import torch
from torch import nn

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_FLOAT = {"QuantStub", "DeQuantStub", "FloatFunctional"}  # PyTorch's places for quantisation, which change no floats


def unwrap(network: nn.Module, source: str) -> nn.Module:
    """Return the plain network inside torch.compile, DataParallel and `module.compile()`, at any depth.

    Wrappers inside the network are removed from it. `source` is its name in messages. Raises UsageError for scripted,
    traced and quantised networks, whose layers cannot be hooked.
    """
    network = inside(network)
    for module in list(network.modules()):
        for name, child in list(module._modules.items()):  # all names of a child that has several
            if child is not None and (plain := inside(child)) is not child:
                setattr(module, name, plain)
    for path, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UsageError(
                f"{printable(source)} is scripted or traced (torch.jit{_at(path)}), so that its layers cannot be "
                "looked at: name the function that returns the network before torch.jit"
            )
        if _is_quantised(type(module)):
            raise UsageError(
                f"{printable(source)} is quantised ({type(module).__name__}{_at(path)}), so that its layers hold no "
                "floats: name the function that returns the network before it is quantised"
            )
        module.__dict__.pop("_compiled_call_impl", None)
    return network


def _is_quantised(kind: type[nn.Module]) -> bool:
    """Return whether modules of a class compute with integers; torchvision's networks that can be quantised do not."""
    quantised = "quantized" in kind.__module__ or "quantization" in kind.__module__
    return quantised and kind.__name__ not in _FLOAT and not kind.__module__.startswith("torchvision.")


def _at(path: str) -> str:
    return f" at {printable(path, 60)}" if path else ""


def inside(module: nn.Module) -> nn.Module:
    """Return the module inside torch.compile or a parallel wrapper, or the module itself."""
    while True:
        if isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        elif isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        else:
            return module


def use_float32(network: nn.Module) -> list[str]:
    """Convert half-precision weights to float32; return a note for the user, [] where there are none to convert."""
    kinds = {tensor.dtype for tensor in network.parameters() if tensor.dtype in (torch.float16, torch.bfloat16)}
    if not kinds:
        return []
    network.float()
    names = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return [f"its weights are {names}: they run as float32 (--precision fp16 or bf16 runs them in half precision)"]


def initialize(network: nn.Module, side: int) -> None:
    """Initialise lazy modules by a forward of one image of `side` x `side` px. Errors of the network are passed on."""
    if any(isinstance(module, nn.modules.lazy.LazyModuleMixin) for module in network.modules()):
        with torch.no_grad():
            network(torch.zeros(1, 3, side, side))


def takes_videos(network: nn.Module) -> bool:
    """Return whether the first convolution of a network is over space and time (`Conv3d`)."""
    convolutions = (module for module in network.modules() if isinstance(module, nn.modules.conv._ConvNd))
    return isinstance(next(convolutions, None), nn.Conv3d)
