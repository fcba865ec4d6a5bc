"""Why a checkpoint does not fit a network, in one line."""

from collections.abc import Mapping

from torch import Tensor

from shapebias.core.text import printable
from shapebias.precompute.models.architectures import unset_network
from shapebias.precompute.models.checkpoints.formats import weights_for

_SHOWN = 2
_GUESSES = (  # torchvision's networks that checkpoints are usually of
    *("alexnet", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"),
    *("densenet121", "densenet161", "densenet169", "densenet201", "squeezenet1_0", "squeezenet1_1"),
    *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *("efficientnet_b0", "shufflenet_v2_x1_0", "mnasnet1_0", "convnext_tiny", "vit_b_16", "swin_t"),
)


def mismatch(
    wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]] | None:
    """Return the names that are missing, unexpected and of another shape; None where everything fits."""
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    reshaped = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    return (missing, unexpected, reshaped) if missing or unexpected or reshaped else None


def explain_mismatch(file: str, network: str, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return one line: which names do not fit (counts and the first few), the likely reason, and what to try."""
    missing, unexpected, reshaped = mismatch(wanted, state) or ([], [], [])
    shapes = [_shapes(name, wanted, state) for name in reshaped[:_SHOWN]] + reshaped[_SHOWN:]
    names = ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
    first = ", ".join(_listed(*group) for group in names)
    return f"{file} does not fit {network}: {first}; {_reason(wanted, state, bool(missing or unexpected), reshaped)}"


def _shapes(name: str, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    return f"{name}: {_shape(state[name])} in the file, {_shape(wanted[name])} in the network"


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"


def _listed(names: list[str], what: str) -> str:
    some = ", ".join(printable(name, 120) for name in names[:_SHOWN])
    more = ", …" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}" + (f" ({some}{more})" if names else "")


def _reason(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], names_differ: bool, reshaped: list[str]) -> str:
    classes = None if names_differ else classes_of(wanted, state)
    if classes is not None:
        network = len(wanted[reshaped[0]])
        return f"it is of a network with {classes} classes, not {network}: build the network with {classes}"
    guess = guess_architecture(state)
    if guess:
        return f"it looks like torchvision's {guess}: try --model {guess}@FILE"
    return "it is of another architecture: name the one that it was trained with"


def classes_of(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> int | None:
    """Return the classes that `state` has where it differs from `wanted` in their number only; None where it does
    not."""
    reshaped = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    if not 1 <= len(reshaped) <= 2 or any(not wanted[name].ndim or not state[name].ndim for name in reshaped):
        return None
    rows = {(len(wanted[name]), len(state[name])) for name in reshaped}
    same_inputs = all(wanted[name].shape[1:] == state[name].shape[1:] for name in reshaped)
    return next(iter(rows))[1] if len(rows) == 1 and same_inputs else None


def guess_architecture(state: Mapping[str, Tensor]) -> str | None:
    """Return the torchvision network that has the names and shapes of `state`, whatever the number of classes."""
    for name in _GUESSES:
        wanted = unset_network(name).state_dict()
        differs = mismatch(wanted, weights_for(dict(state), wanted).state)
        if differs is None:
            return name
        missing, unexpected, reshaped = differs
        if not (missing or unexpected) and all(len(wanted[key]) == 1000 for key in reshaped):
            return name
    return None
