"""Turns the groups of tensors in a checkpoint into the state dict of a network."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.candidates import ChosenWeights, choose_candidate
from shapebias.precompute.models.checkpoints.contents import State, TensorGroup
from shapebias.precompute.models.checkpoints.heads import HEAD, head_elsewhere, head_notes, is_head
from shapebias.precompute.models.checkpoints.naming import plain_name
from shapebias.precompute.models.checkpoints.normaliser import find_normaliser, own_normaliser
from shapebias.precompute.models.checkpoints.quantised import with_floats

_TRAINING_ONLY = re.compile(r"^(aux1|aux2|AuxLogits)\.")  # heads of GoogLeNet and Inception
_AUXILIARY_NORM = ".aux_bn."  # AdvProp's second batch norms, for attacked images
_BOOKKEEPING = re.compile(  # a second copy of `robustness`, counters and queues
    r"^attacker\.|(^|\.)(n_averaged|num_updates|steps?|epoch|initted|decay|queue|queue_ptr|center|num_batches_tracked)$"
)
_ADVPROP = "the file is of AdvProp (it has auxiliary norms): add ,preprocess=advprop if x * 2 - 1 was its input"
_COUNTER_OF_NORM = ".num_batches_tracked"
_CONTRASTIVE = re.compile(r"(^|\.)encoder_[qk]\.$")  # MoCo: the last layer gives features, not classes
_HEAD_VALUE = 1e-3  # value of every weight of a head that the file lacks, so that its outputs depend on its inputs
_SHOWN = 3


@dataclass(frozen=True)
class Weights:
    """A state dict by a network's names.

    state:         the tensors, and further ones of the file that look like the network's but are not in it; a head
                   that the file lacks has the same small value everywhere
    mean, std:     3 floats each, of RGB in [0, 1], where the file holds a normaliser; else None
    notes:         lines for the user
    without_head:  whether the file has no weights for the network's head
    """

    state: State
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    notes: list[str] = field(default_factory=list)
    without_head: bool = False


def weights_for(groups: Sequence[TensorGroup], wanted: Mapping[str, Tensor], request: str | None = None) -> Weights:
    """Return the tensors of a file by the names of a network's state dict, `wanted`.

    Of the file's groups and prefixes, the ones that give most of `wanted` are used, or those that `request` names
    (`ema`, `raw`, a key). Of the other tensors, those that look like the network's are in the state, too, so that they
    do not fit; the rest is only noted. Where no group has half of the names, the state is the largest group as it is.
    Nothing checks that the state fits: see `mismatch`.

    Raises ShapebiasError for values that make no sense, UsageError where `request` names nothing that fits, or where
    it is ambiguous which weights are meant.
    """
    choice = choose_candidate(groups, wanted, request)
    if choice is None:
        largest = max(groups, key=lambda group: len(group.tensors), default=TensorGroup("", {}))
        return Weights(dict(largest.tensors))
    outermost = groups[-1].tensors if groups[-1].keys == "" else {}
    return _complete(choice, wanted, outermost)


def _complete(choice: ChosenWeights, wanted: Mapping[str, Tensor], outermost: State) -> Weights:
    """Return the chosen weights with their head, normaliser and notes.

    `outermost` is all tensors of the file by their full names; empty where it has only inner groups.
    """
    candidate = choice.candidate
    tensors, names = candidate.group.tensors, dict(candidate.names)
    contrastive = bool(_CONTRASTIVE.search(candidate.prefix))
    if contrastive:
        names = {known: name for known, name in names.items() if not HEAD.match(known)}
    missing = {name for name in wanted if name not in names and not name.endswith(_COUNTER_OF_NORM)}
    head = {} if contrastive else head_elsewhere(missing, wanted, _without(tensors, names.values()))
    if not (head or contrastive):  # {"encoder": …, "fc": …}
        head = head_elsewhere(missing, wanted, outermost)
        tensors = {name: outermost[name] for name in head.values()} | tensors
    names |= head
    rest = _without(tensors, names.values())
    state, scales, quantised = with_floats({known: tensors[name] for known, name in names.items()}, wanted, rest, names)
    normaliser = find_normaliser(rest)
    missing -= head.keys() | own_normaliser(missing, wanted)
    without_head = is_head(missing, wanted)
    state |= _added(state, wanted, missing if without_head else set())
    aside = _without(rest, scales, normaliser.names, *(other.names.values() for other in choice.others))
    places = {name.partition(".")[0] for name in (missing if without_head else ())}
    unexpected = _unexpected(aside, candidate.prefix, None if missing and not without_head else wanted, places)
    left = _left_aside(_without(aside, unexpected), candidate.prefix)
    notes = [*choice.notes, *head_notes(head, candidate.prefix), *quantised, *normaliser.notes, *left]
    if without_head:
        notes.append(f"the file has no head for the network ({_some(sorted(missing))}): activations, but no decisions")
    if any(_AUXILIARY_NORM in name for name in aside):
        notes.append(_ADVPROP)
    known = {plain_name(name.removeprefix(candidate.prefix)): value for name, value in unexpected.items()}
    return Weights(known | state, normaliser.mean, normaliser.std, notes, without_head)


def _added(state: State, wanted: Mapping[str, Tensor], head: set[str]) -> State:
    """Return tensors that a file may lack, those of `wanted` that are not in `state`.

    They are the counters that PyTorch before 0.4.1 did not write, a normaliser of the network itself, and tensors with
    the names `head`, whose values are all the same.
    """
    missing = wanted.keys() - state.keys()
    counters = {name: torch.tensor(0) for name in missing if name.endswith(_COUNTER_OF_NORM)}
    own = {name: wanted[name] for name in own_normaliser(missing, wanted)}
    return counters | own | {name: torch.full_like(wanted[name], _HEAD_VALUE) for name in head}


def _without(tensors: Mapping[str, Tensor], *names: Iterable[str]) -> State:
    dropped = set(chain(*names))
    return {name: value for name, value in tensors.items() if name not in dropped}


def _unexpected(aside: State, prefix: str, wanted: Mapping[str, Tensor] | None, head: set[str]) -> State:
    """Return the tensors among those left over, `aside`, that the network has no parameter for but looks as if it
    should.

    They have the chosen weights' `prefix`, and belong to outermost modules that the network has, except those in
    `head`. Where weights are missing (`wanted` None), they are all tensors. What only training needs is left out.
    """
    modules = None if wanted is None else {name.partition(".")[0] for name in wanted} - head
    unexpected = {}
    for name, value in aside.items():
        inner = plain_name(name.removeprefix(prefix))
        training = _TRAINING_ONLY.match(inner) or _BOOKKEEPING.search(inner) or _AUXILIARY_NORM in inner
        if not training and (modules is None or (name.startswith(prefix) and inner.partition(".")[0] in modules)):
            unexpected[name] = value
    return unexpected


def _left_aside(aside: State, prefix: str) -> list[str]:
    """Return a note on the tensors that do not belong to the network, except those that only training needs; [] without
    any.
    """
    names = [plain_name(name.removeprefix(prefix)) for name in aside]
    modules = dict.fromkeys(
        name.partition(".")[0]
        for name in names
        if not _TRAINING_ONLY.search(name) and not _BOOKKEEPING.search(name) and _AUXILIARY_NORM not in name
    )
    return [f"left aside, as the network has no such parts: {_some(list(modules))}"] if modules else []


def _some(names: list[str]) -> str:
    some = ", ".join(printable(name, 60) for name in names[:_SHOWN])
    return some + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
