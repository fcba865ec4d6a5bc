"""The error for a store that cannot be read."""

from pathlib import Path

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable


class StoreError(ShapebiasError):
    """The store cannot be read: it is missing, has another format or version, is damaged, or memory is short.

    text:     the whole line for the user
    path:     the store's folder or URL
    where:    the position inside the store; empty where it is unknown or the whole store is meant
    problem:  what is wrong there; `text` where it is not given

    `where` and `problem` are printable.
    """

    def __init__(self, text: str, path: Path | str, *, where: str = "", problem: str = "") -> None:
        super().__init__(text)
        self.path = path
        self.where = where
        self.problem = problem or text


def damaged(path: Path | str, problem: str, where: str = "") -> StoreError:
    """Return the error for a damaged store: one line, `PATH is damaged at WHERE: PROBLEM`; that must be printable."""
    where = printable(where)
    at = f" at {where}" if where else ""
    return StoreError(f"{store_name(path)} is damaged{at}: {problem}", path, where=where, problem=problem)


def store_name(path: Path | str) -> str:
    """Return a store's path or URL in printable form."""
    return printable(str(path))
