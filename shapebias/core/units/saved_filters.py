"""The user's filters: those with a name, `@NAME`, and those used last. One JSON file in the user's state folder."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import damaged_state, read_state, state_folder, write_state

_MOST = 100  # filters that are remembered as used
_DEFINITION = re.compile(r"\s*@(?P<name>[\w-]+)\s*=(?!=)\s*(?P<expression>.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Definition:
    """A name for an expression, as `@NAME = EXPRESSION` gives it; without an expression the name is to be forgotten.

    `start` is the position of the expression in the text.
    """

    name: str
    expression: str
    start: int


def definition_in(text: str) -> Definition | None:
    """Return the definition of a named filter that a text is, None where it is none.

    >>> definition_in("@smooth = smoothness > .8")
    Definition(name='smooth', expression='smoothness > .8', start=10)
    """
    match = _DEFINITION.fullmatch(text)
    return None if match is None else Definition(match["name"], match["expression"], match.start("expression"))


class SavedFilters:
    """The filters of the user's state folder: `by_name` are expressions, `recent` those used last, the newest last.

    Every change is on the disk before the call returns.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, str] = {}
        self.recent: list[str] = []

    def load(self) -> None:
        """Read the file; a missing file means no filters. Raises ShapebiasError where it cannot be read."""
        path = _path()
        state = read_state(path) or {}
        names, recent = state.get("saved", {}), state.get("recent", [])
        if not (isinstance(names, dict) and isinstance(recent, list) and _are_texts([*names.values(), *recent])):
            raise damaged_state(path)
        self.by_name, self.recent = names, recent

    def save(self, name: str, expression: str) -> None:
        """Save an expression under a name, or forget the name where the expression is empty.

        Raises ShapebiasError where that cannot be written to the disk.
        """
        self.load()  # another explorer may have changed it; what is damaged is not written over
        self.by_name.pop(name, None)
        if expression:
            self.by_name[name] = expression
        self._write()

    def use(self, text: str) -> None:
        """Keep a filter as the one used last; where that cannot be written, this run alone remembers it."""
        with suppress(ShapebiasError):
            self.load()
        self.recent = [*(used for used in self.recent if used != text), text][-_MOST:]
        with suppress(ShapebiasError):
            self._write()

    def _write(self) -> None:
        write_state(_path(), {"saved": self.by_name, "recent": self.recent})


def saved_filters() -> dict[str, str]:
    """Return the saved expressions by their names. Raises ShapebiasError where they cannot be read."""
    filters = SavedFilters()
    filters.load()
    return filters.by_name


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _path() -> Path:
    return state_folder() / "filters.json"
