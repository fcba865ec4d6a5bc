"""A statistic's running state as arrays, so that it can be kept, sent, and merged elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Part = dict[str, NDArray[Any]]  # arrays by name: what some images gave


def pack(statistic: object, names: tuple[str, ...]) -> Part:
    """The attributes `names` of a statistic, tensors and numbers, as arrays."""
    return {name: _array(getattr(statistic, name)) for name in names}


def unpack(statistic: object, names: tuple[str, ...], part: Mapping[str, NDArray[Any]]) -> None:
    """Sets the attributes that `pack` made a part of, each as what it was: a tensor on its device, an array, an int."""
    for name in names:
        usual = getattr(statistic, name)
        found: Any = part[name]
        if isinstance(usual, torch.Tensor):
            found = torch.from_numpy(np.array(found)).to(usual.device)
        elif isinstance(usual, int):
            found = int(found)
        setattr(statistic, name, found)


def _array(value: Any) -> NDArray[Any]:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def prefixed(prefix: str, part: Mapping[str, NDArray[Any]]) -> Part:
    """A part as it is inside a larger one, under PREFIX.NAME."""
    return {f"{prefix}.{name}": array for name, array in part.items()}


class Inside(Mapping[str, NDArray[Any]]):
    """What a larger part holds under PREFIX; arrays are read when they are asked for."""

    def __init__(self, part: Mapping[str, NDArray[Any]], prefix: str) -> None:
        self._part, self._prefix = part, f"{prefix}."

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._part[self._prefix + name]

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}{name}" in self._part

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._part if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
