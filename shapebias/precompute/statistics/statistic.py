"""The interface of all statistics, and how their states are stored in parts and merged."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.parts import Part, WithoutPrefix, with_prefix

Batch = TypeVar("Batch", contravariant=True)
Result = TypeVar("Result", covariant=True)


class Statistic(Protocol[Batch, Result]):
    """A monoid over images: a new statistic is the empty one, and `merge` is its associative operation.

    The result does not depend (except for rounding of sums) on whether images come in one batch or many, and are seen
    by one statistic or by several that are merged in the order of the images.
    """

    def update(self, batch: Batch, /) -> None:
        """Add a batch of images, which come after all earlier ones."""

    def merge(self, other: Self, /) -> None:
        """Add the images that `other` saw, which come after this one's."""

    def state_dict(self) -> Part:
        """Return the state as arrays for `load_state_dict`."""

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], /) -> None:
        """Restore the values from the `state_dict` of a statistic made with the same arguments."""

    def result(self) -> Result:
        """Return the result over the images seen so far."""


AnyStatistic = TypeVar("AnyStatistic", bound=Statistic[Any, Any])


def to_part(statistics: Mapping[str, Statistic[Any, Any]]) -> Part:
    """Return the states of statistics as a part, whose arrays are named NAME.ARRAY."""
    part: Part = {}
    for name, statistic in statistics.items():
        part |= with_prefix(name, statistic.state_dict())
    return part


def merge_parts(
    empty: Callable[[], dict[str, AnyStatistic]], parts: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, AnyStatistic]:
    """Return the statistics by name, merged from all parts in order; `empty` makes new ones with these names."""
    total, loaded = empty(), empty()
    for part in parts:
        for name, statistic in loaded.items():
            statistic.load_state_dict(WithoutPrefix(part, name))
            total[name].merge(statistic)
    return total


class AttributeState:
    """The base of statistics whose state is those of their attributes that `_STATE` names.

    They are tensors, arrays and whole numbers.
    """

    _STATE: ClassVar[tuple[str, ...]]

    def state_dict(self) -> Part:
        """Return the attributes as arrays."""
        return {name: _array(getattr(self, name)) for name in self._STATE}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Set the attributes, each with its old type: a tensor on its device, an array, an int."""
        for name in self._STATE:
            value: Any = state[name]
            usual = getattr(self, name)
            if isinstance(usual, torch.Tensor):
                value = torch.from_numpy(np.array(value)).to(usual.device)
            elif isinstance(usual, int):
                value = int(value)
            setattr(self, name, value)


def _array(value: Any) -> NDArray[Any]:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
