"""The base of plots of units: a cursor on a unit, a line for each model, an axis."""

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from shapebias.core.numbers import number_text
from shapebias.core.store.reader import Unit
from shapebias.core.units.table import UnitTable
from shapebias.tui.session import Session
from shapebias.tui.widgets.table_columns import lay_out
from shapebias.tui.widgets.text_plots import Axis, series, spread

LABEL = 8  # cells for the numbers at the left


def plotted_table(session: Session, unit: Unit) -> UnitTable:
    """Return the table of the units in the layer of `unit`, in every model that has it. Raises StoreError.

    Where the panes' table has several layers, it is that table.
    """
    scope = session.scope
    return session.load(scope if scope is not None and None in scope else (None, unit.layer))


def metrics_of(table: UnitTable) -> list[str]:
    """Return the names of the numeric metrics whose values differ; that of the table's first metric where none does."""
    numbers = [name for name, column in lay_out(table, (), {}, "").items() if not column.is_text]
    return numbers or [next(iter(table.columns))]


class UnitPlot(Widget, can_focus=True):
    """A plot of the units of `table` with a cursor on one of them, a `row`."""

    DEFAULT_CSS = "UnitPlot { width: 3fr; height: 1fr; }"

    def __init__(self, table: UnitTable, row: int) -> None:
        super().__init__(classes="framed")
        self.take(table, row)

    def take(self, table: UnitTable, row: int) -> None:
        """Take other units, with the cursor on a row."""
        self.table, self.row = table, row
        self.models = series(list(dict.fromkeys(model for model, _ in table.layers)))

    @property
    def unit(self) -> Unit:
        """The unit under the cursor."""
        return self.table.unit(self.row)

    def in_model(self, model: str) -> NDArray[np.bool_]:
        """Return which units are of a model, bool [rows]."""
        return np.array([name == model for name, _ in self.table.layers], bool)[self.table.layer]

    def spread_line(self, model: str, values: NDArray[np.float64], axis: Axis, columns: int) -> Text:
        """Return the line of a model: how its values spread, the cursor's place marked."""
        colour, mark = self.models[model]
        own = axis.scaled(values[self.in_model(model)])
        line = Text.assemble((mark.rjust(LABEL), colour), " ", (spread(own, axis.low, axis.high, columns), colour))
        cell = int(axis.cells(values[self.row : self.row + 1], columns)[0])
        if cell >= 0 and self.unit.model == model:
            line.stylize(Style(reverse=True), LABEL + 1 + cell, LABEL + 2 + cell)
        return line

    def axis_lines(self, across: Axis, columns: int) -> list[Text]:
        """Return the line below a plot, and its numbers."""
        low, middle, high = (number_text(across.at(share)) for share in (0.0, 0.5, 1.0))
        room = max(columns - len(low) - len(high), len(middle))
        numbers = f"{' ' * (LABEL + 1)}{low}{middle.center(room)}{high}"
        return [Text(" " * LABEL + "└" + "─" * columns, "dim"), Text(numbers, "dim")]
