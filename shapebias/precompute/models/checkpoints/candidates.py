"""Chooses the weights in a file that fit a network, where the file has several sets, such as averages and teachers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.contents import State, TensorGroup
from shapebias.precompute.models.checkpoints.naming import large_parts, names_by_prefix

EMA, RAW = "ema", "raw"
_AVERAGE = re.compile(r"(^|_)(ema|averaged?|swa|shadow|polyak|teacher|target|momentum)(_|$)|^(encoder|net|model)_k$")
_PREFERRED = re.compile(r"^teacher")  # of a student and its teacher, the teacher is evaluated
_COPIES = re.compile(r"^attacker$")  # `robustness` stores its network twice
_STATISTICS = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
# Keys of the usual weights, where other keys hold further sets.
_USUAL = ("", "state_dict", "model_state_dict", "model")


@dataclass(frozen=True)
class Candidate:
    """A group of tensors that can be a network's weights.

    group:    the tensors in the file
    prefix:   what precedes the network's names in the file, with its final dot
    names:    the file's name for each of the network's names that the file has
    fitting:  how many of these tensors have the network's shape
    """

    group: TensorGroup
    prefix: str
    names: Mapping[str, str]
    fitting: int

    @property
    def keys(self) -> str:
        """The keys and the prefix that lead to the weights, joined by dots; empty for a bare state dict."""
        parts = f"{self.group.keys}.{self.prefix}".split(".")
        return ".".join(part for part in parts if part and part != "module")

    @property
    def state(self) -> State:
        """The tensors by the network's names, those that the file has."""
        return {known: self.group.tensors[name] for known, name in self.names.items()}

    @property
    def is_average(self) -> bool:
        """Whether the keys say that this is an average over training, or a teacher, which is one."""
        return any(_AVERAGE.search(part.lower()) for part in self.keys.split("."))

    def is_called(self, choice: str) -> bool:
        """Return whether the user's `weights=` means this candidate: `ema`, `raw`, all keys, or one of them."""
        if choice in (EMA, RAW):
            return self.is_average == (choice == EMA)
        return choice.strip(".") in (self.keys, self.group.keys, *self.keys.split("."))

    def equals(self, other: "Candidate") -> bool:
        """Return whether another candidate, which has the same of the network's names, has the same values."""
        pairs = ((self.group.tensors[name], other.group.tensors[other.names[known]]) for known, name in self._items())
        return all(one is two or torch.equal(one, two) for one, two in pairs)

    def _items(self) -> list[tuple[str, str]]:
        return list(self.names.items())


@dataclass(frozen=True)
class ChosenWeights:
    """The chosen weights, and the `others` that could be meant: those that fit as well, and an average of weights."""

    candidate: Candidate
    others: Sequence[Candidate] = ()

    @property
    def notes(self) -> list[str]:
        """A list with one line on which weights were chosen and how to choose another; [] where there are no others."""
        if not self.others:
            return []
        other, taken = self.others[0], self.candidate
        how = (EMA if other.is_average else RAW) if other.is_average != taken.is_average else other.keys
        kind = "an average of the weights" if other.is_average else "other weights"
        named = ", ".join(_name(candidate) for candidate in self.others)
        return [
            f"the file holds {kind} ({named}) beside {_name(taken)}, which was taken: "
            f"weights={printable(how, 80)} takes the other"
        ]


def choose_candidate(
    groups: Sequence[TensorGroup], wanted: Mapping[str, Tensor], request: str | None
) -> ChosenWeights | None:
    """Return the weights for a network with the state dict `wanted`; None where no group has half of its names.

    `request` is what the user asks for: `ema`, `raw` or a key of the file. Raises UsageError where `request` names no
    weights that fit, and where several different ones fit and nothing says which is meant.
    """
    least = sum(not name.endswith(".num_batches_tracked") for name in wanted) / 2
    candidates = [candidate for candidate in _candidates(groups, wanted) if len(candidate.names) >= least]
    alternatives = _alternatives(candidates)
    if not alternatives:
        return None
    best = alternatives[0]
    averages = [average for average in candidates if average.is_average and average.fitting < best.fitting]
    if request is not None:
        chosen = _alternatives([candidate for candidate in candidates if candidate.is_called(request)])
        if not chosen or chosen[0].fitting < best.fitting / 2:
            there = ", ".join(_name(candidate) for candidate in alternatives + averages)
            raise UsageError(f"weights={printable(request)}: the file has no such weights; it has {there}")
        return ChosenWeights(_with_statistics(_only(chosen), best))
    usual = _usual(alternatives)
    return ChosenWeights(usual, [candidate for candidate in alternatives + averages[:1] if candidate is not usual])


def _candidates(groups: Sequence[TensorGroup], wanted: Mapping[str, Tensor]) -> list[Candidate]:
    """Return every group and prefix with names of a network; where few tensors fit, also those for a part of it."""
    candidates = _candidates_of_part(groups, wanted, "")
    if max((candidate.fitting for candidate in candidates), default=0) * 2 < len(wanted):
        for part in large_parts(wanted):
            candidates += _candidates_of_part(groups, wanted, part)
    return candidates


def _candidates_of_part(groups: Sequence[TensorGroup], wanted: Mapping[str, Tensor], part: str) -> list[Candidate]:
    """Return the candidates for the network's part with the prefix `part`."""
    inner = [name.removeprefix(part) for name in wanted if name.startswith(part)]
    candidates = []
    for group in groups:
        for prefix, names in names_by_prefix(group.tensors, inner).items():
            whole = {f"{part}{known}": name for known, name in names.items()}
            fitting = sum(group.tensors[name].shape == wanted[known].shape for known, name in whole.items())
            candidates.append(Candidate(group, prefix, whole, fitting))
    return candidates


def _with_statistics(chosen: Candidate, raw: Candidate) -> Candidate:
    """Return `chosen` together with the running statistics of the `raw` weights, where it lacks these and nothing else.

    An average of parameters alone lacks them. Other candidates are returned unchanged.
    """
    lacking = raw.names.keys() - chosen.names.keys()
    if chosen is raw or not lacking or not all(_STATISTICS.search(name) for name in lacking):
        return chosen
    tensors = {**chosen.group.tensors, **{f"raw {name}": raw.state[name] for name in lacking}}
    names = {**chosen.names, **{name: f"raw {name}" for name in lacking}}
    return Candidate(TensorGroup(chosen.group.keys, tensors), chosen.prefix, names, chosen.fitting)


def _alternatives(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that fit best, all with the same names, without those of equal values; [] without any."""
    best = max(candidates, key=lambda candidate: (candidate.fitting, len(candidate.names)), default=None)
    if best is None:
        return []
    different: list[Candidate] = []
    for candidate in candidates:
        is_copy = any(_COPIES.search(part) for part in candidate.keys.split("."))
        as_good = candidate.fitting == best.fitting and candidate.names.keys() == best.names.keys()
        if as_good and not is_copy and not any(candidate.equals(other) for other in different):
            different.append(candidate)
    return different or [best]


def _usual(alternatives: list[Candidate]) -> Candidate:
    teachers = [raw for raw in alternatives if any(map(_PREFERRED.search, raw.keys.split(".")))]
    raw = [candidate for candidate in alternatives if not candidate.is_average]
    known = [candidate for candidate in raw if candidate.group.keys in _USUAL and not candidate.prefix]
    for preferred in (teachers, raw, known):
        if len(preferred) == 1:
            return preferred[0]
    return _only(alternatives)


def _only(alternatives: list[Candidate]) -> Candidate:
    if len(alternatives) > 1:
        there = ", ".join(_name(candidate) for candidate in alternatives)
        raise UsageError(f"the file holds {len(alternatives)} networks that fit: {there}; say which with weights=NAME")
    return alternatives[0]


def _name(candidate: Candidate) -> str:
    return printable(candidate.keys, 80) or "those without a key"
