"""What is said of a store that cannot be read."""

from pathlib import Path

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable


class StoreError(ShapebiasError):
    """The store cannot be read: missing, of another format or version, or damaged.

    `path` is the store's folder or URL; `where` the place inside it, empty where that is unknown or the whole store;
    `what` is what is wrong there. Both are printable.
    """

    def __init__(self, text: str, path: Path | str, *, where: str = "", what: str = "") -> None:
        super().__init__(text)
        self.path = path
        self.where = where
        self.what = what or text


def damaged(path: Path | str, what: str, where: str = "") -> StoreError:
    """Return the error of a store that is damaged, at `where` inside it: one line, `PATH is damaged at WHERE: WHAT`."""
    where = printable(where)
    at = f" at {where}" if where else ""
    return StoreError(f"{store_name(path)} is damaged{at}: {what}", path, where=where, what=what)


def store_name(path: Path | str) -> str:
    """Return a store's path or URL as it is printed."""
    return printable(str(path))
