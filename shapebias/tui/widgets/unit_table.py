"""The unit table: a list of any length, sorted by any of its columns, filtered, drawn line by line."""

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from shapebias.core.store.reader import Unit
from shapebias.core.text import cell_width, padded, printable
from shapebias.core.units.table import UnitTable
from shapebias.tui.widgets.cursor_view import CursorView
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.table_columns import SHADES, Column, lay_out

_UNIT = "unit"  # the first column: the unit's name, by which the table is sorted at first
_GAP = 1
_LAYER = 30  # cells for the layer's name, where there are several
_CUT = 8  # the fewest cells of a text that is cut at the table's edge
_MARK = "●"


class UnitTableView(CursorView, can_focus=True):
    """Units in rows, metrics in columns, a cursor, a sort column. Posts `Moved` when the cursor moves.

    Cells are shaded by the rank of their value in its layer. Its frame says how many units there are, by what they are
    sorted, and how many columns are out of sight.
    """

    header = 1

    COMPONENT_CLASSES: ClassVar[set[str]] = {"units--header", "units--sorted", "units--cursor", "units--range"} | {
        f"units--shade-{step}" for step in range(1, SHADES + 1)
    }
    DEFAULT_CSS = """
    UnitTableView { height: 1fr; }
    UnitTableView > .units--header { text-style: bold; color: $text-muted; }
    UnitTableView > .units--sorted { color: $text-accent; }
    UnitTableView > .units--cursor { background: $primary-muted; color: $text; text-style: none; }
    UnitTableView:focus > .units--cursor { background: $primary; color: $text; text-style: bold; }
    UnitTableView > .units--range { background: $accent 25%; color: $text; }
    UnitTableView > .units--shade-1 { background: $primary 8%; }
    UnitTableView > .units--shade-2 { background: $primary 16%; }
    UnitTableView > .units--shade-3 { background: $primary 26%; }
    UnitTableView > .units--shade-4 { background: $primary 38%; }
    """

    class Moved(Message):
        """Says that the cursor is on `unit`; `neighbours` are the units that it may reach next, the likeliest first."""

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
        """Begin empty. Metrics in `hidden` have no column; `widths` are the cells of columns that are not as usual.

        Units in `marks` have a dot.
        """
        super().__init__(id=id)
        self.add_class("framed")
        self._marks, self._hidden, self._chosen_widths = marks, hidden, widths or {}
        self._table: UnitTable | None = None
        self._sorted: NDArray[np.int64] = np.zeros(0, np.int64)
        self._mask: NDArray[np.bool_] | None = None
        self._order = self._sorted  # the shown rows: sorted, filtered
        self._names = len(_UNIT) + 1  # cells of the first column
        self._columns: dict[str, Column] = {}
        self._edges = [0, self._names]  # where the columns begin, and where the last one ends, in cells
        self._step = 1
        self._range_start: int | None = None  # the row from which a range goes to the cursor
        self.sort_by, self.ascending = _UNIT, True
        self.title = "Units"  # in the frame

    @property
    def columns(self) -> list[str]:
        """The columns' names from the left."""
        return [_UNIT, *self._columns]

    @property
    def row_count(self) -> int:
        return len(self._order)

    @property
    def shown_table(self) -> UnitTable | None:
        """The table as it is shown: its rows filtered and sorted, without the hidden columns."""
        if self._table is None:
            return None
        table = self._table.take(self._order)
        return replace(table, columns={name: table.columns[name] for name in table.columns if name not in self._hidden})

    @property
    def shown_rows(self) -> NDArray[np.int64]:
        """The displayed rows, from the top, int64: their numbers in the unsorted, unfiltered table."""
        return self._order

    @property
    def unit_numbers(self) -> NDArray[np.int32]:
        """The shown units' numbers in their layer, from the top."""
        return self._table.index[self._order] if self._table is not None else np.zeros(0, np.int32)

    @property
    def unit(self) -> Unit | None:
        """The unit under the cursor."""
        return self.unit_at(self.cursor)

    @property
    def selected(self) -> list[Unit]:
        """The units of the range, from the top; the one under the cursor where there is no range."""
        return [unit for unit in map(self.unit_at, self._range) if unit is not None]

    @property
    def has_range(self) -> bool:
        """Whether moves of the cursor extend a range."""
        return self._range_start is not None

    @property
    def _range(self) -> range:
        """The rows of the range, or that of the cursor."""
        start = self.cursor if self._range_start is None else self._range_start
        return range(min(start, self.cursor), max(start, self.cursor) + 1)

    def begin_range(self) -> None:
        """Begin a range at the cursor."""
        self._range_start = self.cursor
        self.refresh()

    def end_range(self) -> None:
        """Leave the range, if there is one; the cursor stays where it is."""
        if self.has_range:
            self._range_start = None
            self.refresh()

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
        """Choose the columns and their widths; where the sort column is not among them, sort by unit."""
        if self._table is None:
            return
        self._columns = lay_out(self._table, self._hidden, self._chosen_widths, self.sort_by)
        if self.sort_by not in self.columns:
            self.sort_by, self.ascending = _UNIT, True
        longest = len(str(int(self._table.index.max(initial=0))))
        layers = max(cell_width(self._layer_name(layer)) for layer in range(len(self._table.layers)))
        self._names = max(len(_UNIT) + 1, layers + longest) + 2  # a dot before the name
        widths = [self._names, *(column.width for column in self._columns.values())]
        self._edges = list(accumulate((width + _GAP for width in widths), initial=0))

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
        assert self._table is not None
        self._range_start = None  # rows have other places now
        self._order = self._sorted if self._mask is None else self._sorted[self._mask[self._sorted]]
        self.virtual_size = Size(self._edges[-1], len(self._order) + 1)
        row = None if unit is None else self._table.row(unit)
        rows = [] if row is None else np.flatnonzero(self._order == row).tolist()
        self.move_to(rows[0] if rows else 0, again=True)
        self._write_frame()
        self.refresh()

    def moved(self, before: int) -> None:
        self._step = -1 if self.cursor < before else 1
        if self.has_range:
            self.refresh()
        reach = (self.cursor + self._step, self.cursor - self._step, self.cursor + 2 * self._step)
        neighbours = [unit for unit in map(self.unit_at, reach) if unit is not None]
        unit = self.unit
        if unit is not None:
            self.post_message(self.Moved(unit, neighbours))

    # Keys and mouse

    def action_sort_next(self, step: int) -> None:
        """Sort by the next column for a `step` of 1, by the previous one for -1: largest values or first unit first."""
        columns = self.columns
        column = columns[(columns.index(self.sort_by) + step) % len(columns)]
        self.sort(column, ascending=column == _UNIT)

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.sort(self.sort_by, not self.ascending)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row that was clicked; sort by a header, reverse at that of the sort column."""
        position = event.get_content_offset(self)
        row = self.row_at(event)
        if row is not None:
            self.move_to(row)
        if position is None or position.y >= self.header:
            return
        column = self._column_at(position.x + self._in_sight()[0])
        if column is not None and column != self.sort_by:
            self.sort(column, ascending=column == _UNIT)
        elif column is not None:
            self.action_reverse()

    def _in_sight(self) -> tuple[int, int]:
        """Return where the first column in sight begins and the last one ends, in cells of the whole line.

        Columns are in sight whole, if at least one fits; only a text at the right edge may be cut.
        """
        left, width, edges = int(self.scroll_offset.x), self.scrollable_content_region.width, self._edges
        first = min((edge for edge in edges if edge >= left), default=left)
        if edges[-1] <= first + width + _GAP:
            return first, edges[-1]
        end = max((edge for edge in edges if first < edge <= first + width + _GAP), default=first + width)
        behind = next(
            (column for column, edge in zip(self._columns.values(), edges[1:], strict=False) if edge >= end), None
        )
        return first, first + width if behind is not None and behind.is_text and first + width - end >= _CUT else end

    def action_scroll_right(self) -> None:
        """Scroll to the next column."""
        first, right = self._in_sight()
        if right < self._edges[-1]:
            self._scroll_to_column(min((edge for edge in self._edges if edge > first), default=first))

    def action_scroll_left(self) -> None:
        """Scroll to the previous column."""
        first = self._in_sight()[0]
        self._scroll_to_column(max((edge for edge in self._edges if edge < first), default=0))

    def _scroll_to_column(self, x: int) -> None:
        """Make the cell `x` of the whole lines the first in sight."""
        self.scroll_to(x=x, animate=False, immediate=True, force=True)
        self._write_frame()
        self.refresh()

    def _column_at(self, x: int) -> str | None:
        """Return the column at the cell `x` of the whole lines, None behind the last."""
        return next((name for name, edge in zip(self.columns, self._edges[1:], strict=True) if x < edge), None)

    def on_resize(self) -> None:
        super().on_resize()
        self._write_frame()

    # Drawing

    def _write_frame(self) -> None:
        """Write into the frame how many units are displayed, their order, and how many columns are out of sight."""
        if self._table is None:
            return
        arrow, sorted_by = "↑" if self.ascending else "↓", self.sort_by.replace("_", " ")
        count = f"{self.row_count:,} of {len(self._table):,}"
        left, right = self._in_sight()
        before, behind = sum(edge < left for edge in self._edges), sum(edge > right for edge in self._edges)
        more = [f"← {before} more"] * (before > 0) + [f"{behind} more →"] * (behind > 0)
        write_frame(self, self.title, f"{count}  {arrow} {sorted_by}", "  ".join(more))

    def render_line(self, y: int) -> Strip:
        (left, right), top = self._in_sight(), int(self.scroll_offset.y)
        width = self.scrollable_content_region.width
        if y == 0:
            style = self.get_component_rich_style("units--header")
            header, start = self._header(left, right)
            return header.crop(left - start, right - start).adjust_cell_length(width, style)
        row = top + y - 1
        if self._table is None or row >= len(self._order):
            text = " no unit matches" if y == 1 and self._mask is not None else ""
            return Strip([Segment(text, self.rich_style)]).adjust_cell_length(width, self.rich_style)
        strip, start = self._row(row, left, right)
        return strip.crop(left - start, right - start).adjust_cell_length(width, self._row_style(row))

    def _row_style(self, row: int) -> Style:
        """Return the style of a row, to which the shades and the sort column of its cells are added."""
        if row == self.cursor:
            return self.get_component_rich_style("units--cursor")
        return self.get_component_rich_style("units--range") if row in self._range else self.rich_style

    def _between(self, left: int, right: int) -> tuple[bool, list[Column], int]:
        """Return which columns are between two cells of the whole line.

        That is whether the column of the units is, which metrics' columns are, and the cell where the first one begins.
        """
        edges = self._edges
        places = zip(self._columns.values(), pairwise(edges[1:]), strict=True)
        columns = [column for column, (start, end) in places if start < right and end > left]
        named = edges[1] > left
        return named, columns, 0 if named else max((edge for edge in edges if edge <= left), default=0)

    def _header(self, left: int, right: int) -> tuple[Strip, int]:
        """Return the titles of the columns between two cells of the whole line, and the cell where the first begins.

        An arrow stands before the title of the sort column.
        """
        if self._table is None:
            return Strip([]), 0
        style = self.get_component_rich_style("units--header")
        sorted_style = style + self.get_component_rich_style("units--sorted", partial=True)
        arrow = "↑" if self.ascending else "↓"
        named, columns, start = self._between(left, right)
        first = self._beside_dot(" ", f"{arrow if self.sort_by == _UNIT else ''}{_UNIT}")
        segments = [Segment(first + " " * _GAP, sorted_style if self.sort_by == _UNIT else style)] * named
        for column in columns:
            is_sorted = column.name == self.sort_by
            heading = column.heading(arrow if is_sorted else "") + " " * _GAP
            segments.append(Segment(heading, sorted_style if is_sorted else style))
        return Strip(segments), start

    def _row(self, row: int, left: int, right: int) -> tuple[Strip, int]:
        """Return a displayed row's columns between two cells of the whole line, and the cell where the first begins."""
        assert self._table is not None
        table_row, style, one_colour = int(self._order[row]), self._row_style(row), row in self._range
        sorted_style = self.get_component_rich_style("units--sorted", partial=True)
        named, columns, start = self._between(left, right)
        segments = [Segment(self._unit_name(table_row) + " " * _GAP, style)] * named
        for column in columns:
            shade = 0 if one_colour else column.shade(table_row)
            cell_style = self.get_component_rich_style(f"units--shade-{shade}") if shade else style
            if column.name == self.sort_by and not one_colour:
                cell_style += sorted_style
            segments += [Segment(column.cell(table_row), cell_style), Segment(" " * _GAP, style)]
        return Strip(Segment.simplify(segments)), start

    def _unit_name(self, table_row: int) -> str:
        """Return the text of the first column: a dot where the unit is marked, the layer's name where the table has
        several, the unit's number.
        """
        assert self._table is not None
        name = f"{self._layer_name(int(self._table.layer[table_row]))}{int(self._table.index[table_row])}"
        mark = _MARK if self._table.unit(table_row) in self._marks else " "
        return self._beside_dot(mark, name)

    def _beside_dot(self, mark: str, text: str) -> str:
        """Return a mark and a text, together as wide as the first column.

        The text is flush left where the table has several layers, else flush right, as it is a number.
        """
        assert self._table is not None
        several, room = len(self._table.layers) > 1, self._names - 1
        return mark + (padded(text, room) if several else text.rjust(room))

    def _layer_name(self, layer: int) -> str:
        """Return what stands before a unit's number: the name of its layer where the table has several layers.

        The model's name is before that where the table has several models. `layer` is an index into the table's layers.
        """
        assert self._table is not None
        layers = self._table.layers
        if len(layers) == 1:
            return ""
        model, name = layers[layer]
        whole = f"{model}/{name}" if any(other != model for other, _ in layers) else name
        return f"{printable(whole, _LAYER)}/"
