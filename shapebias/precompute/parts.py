"""Parts: the results of some images as arrays by name, so that they can be saved, sent and merged elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Part = dict[str, NDArray[Any]]  # arrays by name


@dataclass(frozen=True)
class Section:
    """The arrays in a part that belong to one model (its number in the run) or to one of its layers (its index).

    The part names them MODEL.KIND and MODEL.LAYER.KIND. No other code builds or splits these names.

    >>> Section(0).name("decision"), Section(0, 2).name("tv")
    ('0.decision', '0.2.tv')
    """

    model: int
    layer: int | None = None

    def __str__(self) -> str:
        return str(self.model) if self.layer is None else f"{self.model}.{self.layer}"

    def name(self, kind: str) -> str:
        """Return the name of the section's array of this kind in the part."""
        return f"{self}.{kind}"


def with_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Part:
    """Return arrays under the names that they have inside a larger part, PREFIX.NAME."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


class WithoutPrefix(Mapping[str, NDArray[Any]]):
    """The arrays of a larger part that are named PREFIX.NAME, by NAME alone. They are read when they are requested."""

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
