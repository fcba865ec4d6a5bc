"""Explains in one line why a checkpoint does not fit a network."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.contents import TensorGroup, keys_in_words
from shapebias.precompute.models.checkpoints.nearest import nearest_architecture

_SHOWN = 2
_EMPTY = (0,)
_STATISTICS = re.compile(r"\.(running_mean|running_var)$")


def mismatch(
    wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]] | None:
    """Return the names that are missing in `state`, unexpected there, and of another shape; None where all fit."""
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    reshaped = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    return (missing, unexpected, reshaped) if missing or unexpected or reshaped else None


def explain_mismatch(
    network: str,
    wanted: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    *,
    content: Any,
    groups: Sequence[TensorGroup],
) -> str:
    """Return why a file's weights, `state`, do not fit a network, `wanted`: one line to follow the file's name.

    It says which names do not fit (counts and the first few), what the file holds, the likely reason, and what to try.
    `network` is the name of the network's class, `content` the content of the file, `groups` its tensors.
    """
    missing, unexpected, reshaped = mismatch(wanted, state) or ([], [], [])
    shapes = [_shapes(name, wanted, state) for name in reshaped[:_SHOWN]] + reshaped[_SHOWN:]
    names = ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
    first = ", ".join(_listed(*group) for group in names)
    own = f"; {keys_in_words(content)}" if len(missing) * 2 > len(wanted) else ""
    return f"does not fit {network}: {first}{own}; {_reason(wanted, state, (missing, unexpected, reshaped), groups)}"


def _shapes(name: str, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    return f"{name}: {_shape(state[name])} in the file, {_shape(wanted[name])} in the network"


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"


def _listed(names: list[str], what: str) -> str:
    some = ", ".join(printable(name, 120) for name in names[:_SHOWN])
    more = ", …" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}" + (f" ({some}{more})" if names else "")


def _reason(
    wanted: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    names: tuple[list[str], list[str], list[str]],
    groups: Sequence[TensorGroup],
) -> str:
    missing, unexpected, reshaped = names
    classes = None if missing or unexpected else classes_of(wanted, state)
    if classes is not None:
        network = len(wanted[reshaped[0]])
        return f"it is of a network with {classes} classes, not {network}: build the network with {classes}"
    if any(state[name].shape == _EMPTY for name in reshaped):
        return "its tensors are empty, as where DeepSpeed (ZeRO-3) keeps them in other files: join them first"
    if missing and not unexpected and not reshaped and all(_STATISTICS.search(name) for name in missing):
        return "the norms' running statistics are missing: it holds parameters alone, as some averages do"
    nearest = nearest_architecture(groups)
    if nearest is None:
        return "it is of another architecture: name the one that it was trained with"
    if nearest.names_fit:
        return f"it looks like torchvision's {nearest.name}: try --model {nearest.name}@FILE"
    if nearest.is_same:
        return f"its shapes are those of torchvision's {nearest.name}, its names are not"
    return (
        f"it is of another architecture: {nearest.common} of its {nearest.weights} weights have the shapes of "
        f"torchvision's {nearest.name}"
    )


def classes_of(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes in `state` where that alone changes shapes from those in `wanted`; else None.

    One or two tensors, a weight and its bias, have another number of rows then. Names that only one of the two has are
    not looked at.
    """
    reshaped = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    if not 1 <= len(reshaped) <= 2 or any(not wanted[name].ndim or not state[name].ndim for name in reshaped):
        return None
    rows = {(len(wanted[name]), len(state[name])) for name in reshaped}
    same_inputs = all(wanted[name].shape[1:] == state[name].shape[1:] for name in reshaped)
    return next(iter(rows))[1] if len(rows) == 1 and same_inputs else None
