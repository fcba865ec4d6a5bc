"""The content of a checkpoint: groups of named tensors at any position, and a description of its keys."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.arrays import PickledArray
from shapebias.precompute.models.checkpoints.unpickle import Placeholder

State = dict[str, Tensor]

_DEPTH = 6
_SHOWN = 6
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|grads?$|exp_avg|rng|momentum_buffer", re.IGNORECASE)


@dataclass(frozen=True)
class TensorGroup:
    """Tensors by name that a file keeps together. `keys` are the keys that lead to them, joined by dots."""

    keys: str
    tensors: State


def tensor_groups(content: Any) -> list[TensorGroup]:
    """Return every dictionary of tensors in a file's content, outer ones first, without the state of optimisers.

    Dictionaries and lists are searched six levels deep. Where one holds several dictionaries of tensors, or one beside
    tensors, they are also joined to one group (`encoder.conv1.weight` of {"encoder": {"conv1.weight": …}, …}), which
    comes after its parts. Raises ValueError for a damaged array of NumPy.
    """
    return list(_groups(content, "", _DEPTH, set()))


def _groups(content: Any, keys: str, depth: int, opened: set[int]) -> Iterator[TensorGroup]:
    if not isinstance(content, dict | list | tuple) or depth == 0 or id(content) in opened:
        return
    own: State = {}
    inner: list[TensorGroup] = []
    items = list(content.items() if isinstance(content, dict) else enumerate(content))
    if any(isinstance(value, dict | list | tuple) for _, value in items):
        opened.add(id(content))  # a pickle may contain itself
    for key, value in items:
        tensor = _tensor(value)
        if tensor is not None and isinstance(content, dict):
            own[str(key)] = tensor
        elif not _NOT_WEIGHTS.search(str(key)):
            inner += _groups(value, f"{keys}.{key}" if keys else str(key), depth - 1, opened)
    if own:
        yield TensorGroup(keys, own)
    yield from inner
    if inner and (own or len(inner) > 1):
        start = len(keys) + 1 if keys else 0
        joined = {f"{group.keys[start:]}.{name}": value for group in inner for name, value in group.tensors.items()}
        yield TensorGroup(keys, own | joined)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, PickledArray):
        return value.tensor()
    return value if isinstance(value, Tensor) else None


def keys_in_words(content: Any) -> str:
    """Return a description of a file's top level for a message: `its keys are net (122 tensors), acc, epoch`."""
    if isinstance(content, dict) and any(_tensor(value) is not None for value in content.values()):
        return f"its names are {_some([str(name) for name in content])}"
    if isinstance(content, dict):
        return f"its keys are {_some([_key_in_words(str(key), value) for key, value in content.items()])}"
    return f"it is {_kind(content) or printable(type(content).__name__, 40)}"


def _key_in_words(key: str, value: Any) -> str:
    kind = _kind(value)
    return f"{key} ({kind})" if kind else key


def _kind(value: Any) -> str:
    """Return a phrase for a value that may hold weights: `122 tensors`, `a pickled object`; empty for other values."""
    if value is Placeholder:
        return "a pickled object"
    if isinstance(value, list | tuple):
        unnamed = sum(_tensor(item) is not None for item in value)
        return f"{unnamed} tensors without names" if unnamed else f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        named = sum(_tensor(item) is not None for item in value.values())
        inner = ", ".join(f"{key}: {kind}" for key, item in value.items() if (kind := _kind(item)))
        return f"{named} tensors" if named else inner
    return ""


def _some(names: list[str]) -> str:
    some = ", ".join(printable(name, 80) for name in names[:_SHOWN])
    return (f"{some}, … ({len(names)} in all)" if len(names) > _SHOWN else some) or "none"
