"""Parts: what some images gave, as arrays by name, so that it can be kept in a file, sent, and merged elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Part = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Section:
    """The arrays of a part that are of one model, by its number in the run, or of one of its layers, by its index.

    In the part they are called MODEL.KIND and MODEL.LAYER.KIND. Nothing else makes these names or takes them apart.
    """

    model: int
    layer: int | None = None

    def __str__(self) -> str:
        return str(self.model) if self.layer is None else f"{self.model}.{self.layer}"

    def name(self, kind: str) -> str:
        """Return what the part calls the section's array of a kind."""
        return f"{self}.{kind}"


def with_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Part:
    """Return arrays as they are called inside a larger part, PREFIX.NAME."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


class WithoutPrefix(Mapping[str, NDArray[Any]]):
    """The arrays that a larger part calls PREFIX.NAME, by NAME alone; they are read when they are asked for."""

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
