"""The distributions of a layer's metrics over its units, for every model that has the layer."""

from collections.abc import Sequence

import numpy as np
from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from shapebias.core.numbers import number_text
from shapebias.core.store.reader import Unit
from shapebias.core.units.table import UnitTable
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.table_columns import Column, lay_out
from shapebias.tui.widgets.text_plots import Axis, series, spread

_LEAST = 6  # rows from which it is worth its place


class Distributions(Widget):
    """Histograms of as many metrics as fit, a line for each model; the value of the unit under the cursor is marked.

    The metric by which the table is sorted comes first.
    """

    DEFAULT_CSS = """
    Distributions { height: 1fr; }
    Distributions > Static { height: 1fr; }
    Distributions.-small > Static { display: none; }
    """

    def __init__(self, models: Sequence[str], id: str | None = None) -> None:
        super().__init__(id=id, classes="framed")
        self._marks = series(models)
        self._lines = Static()
        self._table: UnitTable | None = None
        self._columns: dict[str, Column] = {}
        self._unit: Unit | None = None
        self._first = ""

    def compose(self) -> ComposeResult:
        yield self._lines

    def show(self, table: UnitTable, unit: Unit, sorted_by: str) -> None:
        """Show the metrics of a layer, with the values of `unit` marked.

        table:      the units of the layer in all models that have it
        sorted_by:  the metric that comes first; any other name changes nothing
        """
        if (table, unit, sorted_by) != (self._table, self._unit, self._first):
            if table is not self._table:
                self._columns = lay_out(table, (), {}, "")
            self._table, self._unit, self._first = table, unit, sorted_by
            self._write()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height < _LEAST, "-small")
        self._write()

    def _write(self) -> None:
        if self._table is None or self._unit is None or not self.content_size.width:
            return
        numbers = [name for name, column in self._columns.items() if not column.is_text]
        numbers.sort(key=lambda name: name != self._first)
        models = {model: position for position, (model, _) in enumerate(self._table.layers)}
        fitting = numbers[: max(self.content_size.height // (len(models) + 1), 0)]
        lines = [line for name in fitting for line in self._metric(name, models)]
        write_frame(self, self._unit.layer, "over its units")
        self._lines.update(Text("\n").join(lines), layout=False)

    def _metric(self, name: str, models: dict[str, int]) -> list[Text]:
        """Return a line with the title and the range of the metric `name`, and a histogram's line for each model.

        `models` are the positions of the models' layers in the table's `layers`.
        """
        assert self._table is not None
        assert self._unit is not None
        values = self._table.columns[name].astype(np.float64)
        axis, width = Axis(values), self.content_size.width - 2
        low, high = number_text(axis.at(0.0)), number_text(axis.at(1.0))
        title = self._columns[name].title
        room = max(width + 2 - len(title) - len(high), len(low) + 1)
        lines = [Text.assemble(title, (low.center(room), "dim"), (high, "dim"))]
        row = self._table.row(self._unit)
        for model, position in models.items():
            colour, mark = self._marks[model]
            own = axis.scaled(values[self._table.layer == position])
            line = Text.assemble((f"{mark} ", colour), (spread(own, axis.low, axis.high, width), colour))
            if row is not None and model == self._unit.model and np.isfinite(values[row]):
                cell = 2 + int(axis.cells(values[row : row + 1], width)[0])
                line.stylize(Style(reverse=True), cell, cell + 1)
            lines.append(line)
        return lines
