"""The columns of a unit table: which of them inform, how wide they are, how their cells are written."""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.metrics import METRICS
from shapebias.core.numbers import NumberColumn, rank_shares
from shapebias.core.text import cell_width, padded, printable
from shapebias.core.units.table import UnitTable

_TEXT, _USUAL_TEXT, _WIDEST = 6, 20, 60  # cells: texts have 6 to 20 unless chosen; no column has more than 60
_SAMPLE = 4096  # texts of a column, about, whose widths are measured
_SHADED = 100_000  # rows up to which cells are shaded
SHADES = 4  # steps of the shading, above none


class Column:
    """A metric of `table` as a column: its `title`, its cells' `width`, and what stands in them."""

    def __init__(self, table: UnitTable, name: str, chosen: Mapping[str, int] | None = None) -> None:
        """`chosen` are the widths in cells, by name, of columns that the user made wider or narrower."""
        self.name, self._table = name, table
        self.metric = METRICS[name]
        self.title, self.is_text = self.metric.title, self.metric.is_text
        self._numbers = None if self.is_text else NumberColumn(table.columns[name])
        usual = max(self.least, self._longest, len(self.title) + 1)  # an arrow before the title
        self.width = min(max((chosen or {}).get(name, usual), self.least), _WIDEST)

    @property
    def least(self) -> int:
        """The fewest cells in which the column's values can be read."""
        return _TEXT if self._numbers is None else self._numbers.width

    @property
    def _longest(self) -> int:
        """The cells of its longest text, at most 20; 0 for numbers."""
        if self._numbers is not None:
            return 0
        texts = set(self._table.columns[self.name][:: max(len(self._table) // _SAMPLE, 1)].tolist())
        return min(max((cell_width(printable(text, _USUAL_TEXT)) for text in texts), default=0), _USUAL_TEXT)

    @property
    def informs(self) -> bool:
        """Whether the column says something: its numbers differ or are only one, or one of its texts is not empty."""
        values = self._table.columns[self.name]
        if self.is_text:
            return any(text for text in values)
        known = values[~np.isnan(values)]
        return len(values) < 2 or (len(known) > 0 and (len(known) < len(values) or bool((known != known[0]).any())))

    def heading(self, arrow: str) -> str:
        """Return the title behind an `arrow` (empty: none), as wide as the column."""
        title = f"{arrow}{self.title}"[: self.width]
        return title.ljust(self.width) if self.is_text else title.rjust(self.width)

    def cell(self, row: int) -> str:
        """Return the text of a row of the table, as wide as the column."""
        value = self._table.cell(self.name, row)
        if isinstance(value, str):
            return padded(printable(value, self.width) or "–", self.width)
        return self.number(row).rjust(self.width)

    def number(self, row: int) -> str:
        """Return the number of a row of the table, aligned at the point with those of other rows."""
        assert self._numbers is not None
        return self._numbers.text(float(self._table.columns[self.name][row]))

    def shade(self, row: int) -> int:
        """Return the shade of a row by its rank in its layer: 0 for the lowest fifth to SHADES for the highest.

        It is 0 for texts, for NaN, and in tables with too many rows.
        """
        share = self._shares[row] if self._shares is not None else np.nan
        return 0 if np.isnan(share) else min(int(share * (SHADES + 1)), SHADES)

    @cached_property
    def _shares(self) -> NDArray[Any] | None:
        """The rank of every value in its layer, float32 [rows] from 0 to 1 (see `rank_shares`).

        None for texts, and where there are too many rows to rank in a moment.
        """
        if self.is_text or len(self._table) > _SHADED:
            return None
        return rank_shares(self._table.columns[self.name], self._table.layer)


def lay_out(table: UnitTable, hidden: Collection[str], chosen: Mapping[str, int], sorted_by: str) -> dict[str, Column]:
    """Return the columns of `table` to display, by name.

    hidden:     the columns that the user hides
    chosen:     the widths in cells, by name, of columns that the user made wider or narrower
    sorted_by:  the column by which the table is sorted: it is kept even if it does not inform, as others must
    """
    columns = {name: Column(table, name, chosen) for name in table.columns if name not in hidden}
    return {name: column for name, column in columns.items() if name == sorted_by or column.informs}
