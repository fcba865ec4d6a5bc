"""Tables of a report: cells are texts; of a column of numbers they begin with the number that it is sorted by."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: its title, what it holds (shown where the mouse is), and whether it holds numbers or words.

    `filtered`: its words are few, and rows can be chosen by them.
    """

    title: str
    hint: str = ""
    is_number: bool = True
    filtered: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells below columns. `note` says what is left out, or how to get more."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    note: str = ""


def words(title: str, hint: str = "", filtered: bool = True) -> Column:
    """Return a column of words."""
    return Column(title, hint, is_number=False, filtered=filtered)
