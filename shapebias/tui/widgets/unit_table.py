"""The unit table: a list of any length, sorted by any of its columns, filtered, drawn line by line."""

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Unit
from shapebias.core.units.table import UnitTable
from shapebias.tui.widgets.cursor_view import CursorView

_UNIT = "unit"  # the first column: the unit's number, by which the table is sorted at first
_GAP = 1
_TEXT, _WIDEST = 6, 60  # cells of a column: of texts at least, of any at most
_MORE = "▸"  # columns at the right
_MARK = "●"


def column_width(name: str, chosen: Mapping[str, int]) -> int:
    """Return the cells of a metric's column: as `chosen`, or as many as its numbers and its title need.

    The chosen width is brought within what the numbers need (six cells for texts) and 60.
    """
    metric = METRICS[name]
    usual = max(metric.width, len(metric.title) + 1)
    return min(max(chosen.get(name, usual), _TEXT if metric.is_text else metric.width), _WIDEST)


class UnitTableView(CursorView, can_focus=True):
    """Units in rows, metrics in columns, a cursor, a sort column. Posts `Moved` when the cursor moves."""

    header = 1

    COMPONENT_CLASSES: ClassVar[set[str]] = {"units--header", "units--sorted", "units--cursor", "units--cell"}
    DEFAULT_CSS = """
    UnitTableView { height: 1fr; }
    UnitTableView > .units--header { text-style: bold; color: $text-muted; background: $surface; }
    UnitTableView > .units--sorted { color: $text-accent; }
    UnitTableView > .units--cursor { background: $primary-muted; color: $text; text-style: none; }
    UnitTableView:focus > .units--cursor { background: $primary; color: $text; text-style: bold; }
    """

    class Moved(Message):
        """Says that the cursor is on `unit`; `neighbours` are those that it can reach next."""

        def __init__(self, unit: Unit, neighbours: list[Unit]) -> None:
            super().__init__()
            self.unit, self.neighbours = unit, neighbours

    def __init__(
        self,
        marks: Container[Unit] = (),
        hidden: Collection[str] = (),
        widths: Mapping[str, int] | None = None,
        *,
        id: str | None = None,
    ) -> None:
        """Begin empty, without the metrics `hidden`; `widths` are the cells of columns that are not as wide as usual.

        Units in `marks` have a dot.
        """
        super().__init__(id=id)
        self._marks, self._hidden, self._chosen_widths = marks, hidden, widths or {}
        self._table: UnitTable | None = None
        self._sorted: NDArray[np.int64] = np.zeros(0, np.int64)
        self._mask: NDArray[np.bool_] | None = None
        self._order = self._sorted  # the shown rows: sorted, filtered
        self._widths: dict[str, int] = {}
        self._step = 1
        self.sort_by, self.ascending = _UNIT, True

    @property
    def columns(self) -> list[str]:
        """The columns' names from the left."""
        return list(self._widths) or [_UNIT]

    @property
    def row_count(self) -> int:
        return len(self._order)

    @property
    def shown_table(self) -> UnitTable | None:
        """The table as it is shown: its rows filtered and sorted, without the hidden columns."""
        if self._table is None:
            return None
        table = self._table.take(self._order)
        columns = {name: values for name, values in table.columns.items() if name in self._widths}
        return replace(table, columns=columns)

    @property
    def unit_numbers(self) -> NDArray[np.int32]:
        """The shown units' numbers in their layer, from the top."""
        return self._table.index[self._order] if self._table is not None else np.zeros(0, np.int32)

    @property
    def unit(self) -> Unit | None:
        """The unit under the cursor."""
        return self.unit_at(self.cursor)

    def unit_at(self, row: int) -> Unit | None:
        """Return the unit of a row, None above the first and below the last."""
        if self._table is None or not 0 <= row < len(self._order):
            return None
        return self._table.unit(int(self._order[row]))

    def show(self, table: UnitTable, mask: NDArray[np.bool_] | None, unit: Unit | None = None) -> None:
        """Show the units in `mask` (bool [rows of `table`]), all for None, the cursor on `unit` or on the first.

        The sort order stays where the table has that column.
        """
        self._table, self._mask = table, mask
        self._lay_out()
        self._sort(unit)

    def change_columns(self, hidden: Collection[str], widths: Mapping[str, int]) -> None:
        """Show all columns but `hidden` ones, as wide as usual or as `widths` says; the cursor stays on its unit."""
        self._hidden, self._chosen_widths = hidden, widths
        self._lay_out()
        self._sort(self.unit)
        self.refresh(layout=True)

    def _lay_out(self) -> None:
        """Find the columns and their widths; by a column that is not there the table is not sorted."""
        if self._table is None:
            return
        longest = len(str(int(self._table.index.max()))) if len(self._table) else 1
        self._widths = {_UNIT: max(len(_UNIT) + 1, longest + 2)}
        metrics = [name for name in self._table.columns if name not in self._hidden]
        self._widths |= {name: column_width(name, self._chosen_widths) for name in metrics}
        if self.sort_by not in self._widths:
            self.sort_by, self.ascending = _UNIT, True

    def filter(self, mask: NDArray[np.bool_] | None, unit: Unit | None) -> None:
        """Show the units in `mask` (bool [rows of the table]), all for None, the cursor on `unit` or on the first."""
        self._mask = mask
        self._apply_mask(unit)

    def sort(self, column: str, ascending: bool) -> None:
        """Sort by a column; the cursor stays on its unit."""
        self.sort_by, self.ascending = column, ascending
        self._sort(self.unit)

    def _sort(self, unit: Unit | None) -> None:
        """Sort by the sort column, the cursor on `unit` or on the first."""
        if self._table is None:
            return
        if self.sort_by == _UNIT:
            order = np.arange(len(self._table))
            self._sorted = order if self.ascending else order[::-1]
        else:
            self._sorted = self._table.order(self.sort_by, self.ascending)
        self._apply_mask(unit)

    def _apply_mask(self, unit: Unit | None) -> None:
        """Filter the sorted rows, the cursor on `unit` or on the first."""
        self._order = self._sorted if self._mask is None else self._sorted[self._mask[self._sorted]]
        self.virtual_size = Size(sum(self._widths.values()) + _GAP * len(self._widths), len(self._order) + 1)
        rows = np.flatnonzero(self.unit_numbers == (-1 if unit is None else unit.index))
        self.move_to(int(rows[0]) if len(rows) else 0, again=True)
        self.refresh()

    def moved(self, before: int) -> None:
        self._step = -1 if self.cursor < before else 1
        reach = (self.cursor + self._step, self.cursor - self._step, self.cursor + 2 * self._step)
        neighbours = [unit for unit in map(self.unit_at, reach) if unit is not None]
        unit = self.unit
        if unit is not None:
            self.post_message(self.Moved(unit, neighbours))

    # Keys and mouse

    def action_sort_next(self, step: int) -> None:
        """Sort by the next column for a `step` of 1, by the previous one for -1, largest values first."""
        columns = self.columns
        column = columns[(columns.index(self.sort_by) + step) % len(columns)]
        self.sort(column, ascending=column == _UNIT)

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.sort(self.sort_by, not self.ascending)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row that was clicked; sort by a header, reverse at that of the sort column."""
        if event.y >= self.header:
            row = self.row_at(event)
            if row is not None:
                self.move_to(row)
            return
        column = self._column_at(event.x + self._in_sight()[0])
        if column is not None and column != self.sort_by:
            self.sort(column, ascending=column == _UNIT)
        elif column is not None:
            self.action_reverse()

    @property
    def _edges(self) -> list[int]:
        """The positions where the columns begin, and where the last one ends, in cells."""
        return list(accumulate((width + _GAP for width in self._widths.values()), initial=0))

    def _in_sight(self) -> tuple[int, int]:
        """Return where the first column in sight begins and the last one ends: none is cut, if one fits."""
        left, width, edges = int(self.scroll_offset.x), self.scrollable_content_region.width, self._edges
        first = min((edge for edge in edges if edge >= left), default=left)
        if edges[-1] <= first + width + _GAP:
            return first, edges[-1]
        return first, max((edge for edge in edges if first < edge <= first + width), default=first + width)

    def action_scroll_right(self) -> None:
        """Scroll to the next column."""
        first = self._in_sight()[0]
        self._scroll_to_column(min((edge for edge in self._edges if edge > first), default=first))

    def action_scroll_left(self) -> None:
        """Scroll to the previous column."""
        first = self._in_sight()[0]
        self._scroll_to_column(max((edge for edge in self._edges if edge < first), default=0))

    def _scroll_to_column(self, x: int) -> None:
        """Make the cell `x` of the lines the first in sight."""
        self.scroll_to(x=x, animate=False, immediate=True, force=True)
        self.refresh()

    def _column_at(self, x: int) -> str | None:
        """Return the column at the cell `x` of the lines, None behind the last."""
        for name, width in self._widths.items():
            x -= width + _GAP
            if x < 0:
                return name
        return None

    # Drawing

    def render_line(self, y: int) -> Strip:
        (left, right), top = self._in_sight(), int(self.scroll_offset.y)
        width = self.scrollable_content_region.width
        if y == 0:
            style = self.get_component_rich_style("units--header")
            header = self._header().crop(left, right).adjust_cell_length(width, style)
            more = right < self._edges[-1]
            return Strip([*header.crop(0, width - 1), Segment(_MORE, style)]) if more else header
        row = top + y - 1
        if self._table is None or row >= len(self._order):
            text = " no unit matches" if y == 1 and self._mask is not None else ""
            return Strip([Segment(text, self.rich_style)]).adjust_cell_length(width, self.rich_style)
        style = self._row_style(row)
        strip = self._row(row, style).crop(left, right).adjust_cell_length(width, style)
        return strip.apply_offsets(left, row)

    def _row_style(self, row: int) -> Style:
        """Return the style of a row without its sort column."""
        if row == self.cursor:
            return self.get_component_rich_style("units--cursor")
        return self.rich_style

    def _header(self) -> Strip:
        """Return all titles, an arrow before that of the sort column."""
        style = self.get_component_rich_style("units--header")
        sorted_style = style + self.get_component_rich_style("units--sorted", partial=True)
        segments = []
        for name, width in self._widths.items():
            title = METRICS[name].title if name in METRICS else name
            arrow = ("▲" if self.ascending else "▼") if name == self.sort_by else ""
            cell = f"{arrow}{title}"[:width].rjust(width) + " " * _GAP
            segments.append(Segment(cell, sorted_style if arrow else style))
        return Strip(segments)

    def _row(self, row: int, style: Style) -> Strip:
        """Return all cells of a row."""
        assert self._table is not None
        table_row = int(self._order[row])
        sorted_style = style
        if row != self.cursor:
            sorted_style = style + self.get_component_rich_style("units--sorted", partial=True)
        segments = []
        for name, width in self._widths.items():
            if name == _UNIT:
                text = str(int(self._table.index[table_row]))
                if self._table.unit(table_row) in self._marks:
                    text = _MARK + text.rjust(width - 1)
            else:
                text = METRICS[name].format(self._table.cell(name, table_row), width)
            segments.append(Segment(text.rjust(width) + " " * _GAP, sorted_style if name == self.sort_by else style))
        return Strip(segments)
