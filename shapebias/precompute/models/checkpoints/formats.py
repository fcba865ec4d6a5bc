"""Checkpoint formats: what trainers put around a state dict, and how they change its names."""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from shapebias.core.errors import ShapebiasError

State = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.", "_orig_mod.")  # DataParallel, a wrapper module, torch.compile
_RENAMES = (  # (what a name holds, what to write instead), where the network knows the new name only
    (re.compile(r"(^|\.)module\."), r"\1"),  # DataParallel around a part (AlexNet's and VGG's `features`)
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),  # torchvision's published DenseNets
    (re.compile(r"^last_layer\."), "classifier.6."),  # AlexNet and VGG of `robustness`
    (re.compile(r"(^|\.)branch4_conv\."), r"\1branch4.1."),  # GoogLeNet of `robustness`
)
_TRAINING_ONLY = re.compile(r"^(aux1|aux2|AuxLogits)\.")  # heads of GoogLeNet and Inception
_AUXILIARY_NORM = ".aux_bn."  # AdvProp's second batch norms, for attacked images


@dataclass(frozen=True)
class Weights:
    """A state dict by a network's names, and `notes`, lines for the user.

    `mean` and `std` are 3 floats each, of RGB in [0, 1], where the file holds a normaliser.
    """

    state: State
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    notes: list[str] = field(default_factory=list)


def weights_for(content: Any, wanted: Collection[str]) -> Weights:
    """Return the tensors of a checkpoint's `content` by the names of a network's state dict, `wanted`.

    Of the ways to read the names the one is taken that gives most of `wanted`; names that fit nothing stay.
    Raises ShapebiasError for a normaliser that makes no sense.
    """
    readings = list(_readings(_tensors(content)))
    best = max(readings, key=lambda weights: sum(name in wanted for name in weights.state))
    if not any(name in wanted for name in best.state):
        best = max(readings, key=lambda weights: sum(_known_name(name, wanted) in wanted for name in weights.state))
    state = {_known_name(name, wanted): value for name, value in best.state.items()}
    return _without_extras(Weights(state, best.mean, best.std, best.notes), wanted)


def _tensors(content: Any) -> State:
    """Return the named tensors, without the wrappers around them."""
    while isinstance(content, dict):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        content = inner
    return {}


def _readings(state: State) -> Iterator[Weights]:
    """Yield the state dict as it is, then with a prefix less each time, and without the parts of `robustness`."""
    yield Weights(state)
    if any(name.startswith(("attacker.", "normalizer.")) for name in state):
        inner = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
        mean, std = _normalizer(state)
        yield from (Weights(weights.state, mean, std, weights.notes) for weights in _readings(inner))
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            yield from _readings({name.removeprefix(prefix): value for name, value in state.items()})


def _normalizer(state: State) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return mean and std where `robustness` (MadryLab) kept them, [3, 1, 1], as buffers of the network."""
    values = []
    for name in ("new_mean", "new_std"):
        value = state.get(f"normalizer.{name}", state.get(f"attacker.normalize.{name}"))
        values.append(None if value is None else tuple(value.flatten().to(torch.float64).tolist()))
    mean, std = values
    if mean is None or std is None:
        return None, None
    if not (len(mean) == len(std) == 3 and all(map(math.isfinite, mean + std)) and min(std) > 0):
        raise ShapebiasError("the checkpoint's normaliser makes no sense: its mean and std are not three numbers each")
    return mean, std


def _known_name(name: str, wanted: Collection[str]) -> str:
    if name in wanted:
        return name
    for pattern, replacement in _RENAMES:
        renamed = pattern.sub(replacement, name)
        if renamed in wanted:
            return renamed
    return name


def _without_extras(weights: Weights, wanted: Collection[str]) -> Weights:
    """Drop what only training needs, and add the counters that PyTorch before 0.4.1 did not write."""
    extra = {name for name in weights.state if name not in wanted}
    dropped = {name for name in extra if _TRAINING_ONLY.match(name) or _AUXILIARY_NORM in name}
    state = {name: value for name, value in weights.state.items() if name not in dropped}
    if state:
        for name in wanted:
            if name.endswith(".num_batches_tracked") and name not in state:
                state[name] = torch.tensor(0)
    notes = list(weights.notes)
    if any(_AUXILIARY_NORM in name for name in dropped):
        notes.append(
            "the file is of AdvProp (it has auxiliary norms): add ,preprocess=advprop if x * 2 - 1 was its input"
        )
    return Weights(state, weights.mean, weights.std, notes)
