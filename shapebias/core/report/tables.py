"""Tables of a report. Cells are texts; in a column of numbers each begins with the number by which rows are sorted."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A column: its title, its tooltip `hint`, and whether it holds numbers or words.

    `filtered`: whether the page offers to filter rows by the column's words, of which there are few.
    """

    title: str
    hint: str = ""
    is_number: bool = True
    filtered: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells with columns. `note` says how much is left out, or how to get more."""

    title: str
    columns: Sequence[Heading]
    rows: Sequence[Sequence[str]]
    note: str = ""


def words(title: str, hint: str = "", filtered: bool = True) -> Heading:
    """Return the heading of a column of words."""
    return Heading(title, hint, is_number=False, filtered=filtered)
