"""Two metrics of units against each other, every model in its colour; beside them the unit that is picked."""

from typing import ClassVar

import numpy as np
from rich.text import Text
from textual import events
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen

from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text
from shapebias.core.store.reader import Unit
from shapebias.core.units.table import UnitTable
from shapebias.tui.messages import GoTo
from shapebias.tui.screens.plots.unit_plot import LABEL, UnitPlot, metrics_of, plotted_table
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.text_plots import Axis

_FIRST = ("smoothness", "class_diversity")  # the metrics across and up at first, where the store has them


class ScatterPlot(UnitPlot):
    """A mark for each unit of `table`, and a cursor on one of them, a `row`. Posts `Picked` when it moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "move(1, 0)", "Right", show=False),
        Binding("h,left", "move(-1, 0)", "Left", show=False),
        Binding("k,up", "move(0, -1)", "Up", show=False),
        Binding("j,down", "move(0, 1)", "Down", show=False),
    ]

    class Picked(Message):
        """Says that the cursor is on another unit."""

    def __init__(self, table: UnitTable, row: int, across: str, up: str) -> None:
        super().__init__(table, row)
        self._names = (across, up)
        self._cells = np.zeros((len(table), 2), int)  # column and row of each unit, -1 where a value is undefined

    def show(self, across: str, up: str) -> None:
        """Show two metrics against each other."""
        self._names = (across, up)
        self.refresh()

    @property
    def _plot(self) -> tuple[int, int]:
        """The number of columns and of rows of cells that there are for marks."""
        width, height = self.content_size
        return max(width - LABEL - 1, 1), max(height - len(self.models) - 2, 1)

    def render(self) -> RenderResult:
        columns, rows = self._plot
        values = [self.table.columns[name].astype(np.float64) for name in self._names]
        across, up = (Axis(part) for part in values)
        self._cells = np.stack([across.cells(values[0], columns), up.cells(values[1], rows)], 1)
        drawn = (self._cells >= 0).all(1)
        self._cells[drawn, 1] = rows - 1 - self._cells[drawn, 1]
        self._cells[~drawn] = -1
        titles = [METRICS[name].title for name in self._names]
        write_frame(self, f"{titles[1]} ↑  {titles[0]} →", f"{int(drawn.sum()):,} units")
        lines = [self.spread_line(model, values[0], across, columns) for model in self.models]
        return Text("\n").join([*lines, *self._marks(rows, columns, up), *self.axis_lines(across, columns)])

    def _marks(self, rows: int, columns: int, up: Axis) -> list[Text]:
        """Return the lines of marks, with the numbers of the axis before the first, the middle and the last one."""
        grid = [[(" ", "")] * columns for _ in range(rows)]
        for model, (colour, mark) in self.models.items():
            for column, row in self._cells[self.in_model(model)].tolist():
                if column >= 0:
                    grid[row][column] = (mark, colour)
        column, row = self._cells[self.row].tolist()
        if column >= 0:
            grid[row][column] = (grid[row][column][0], f"bold reverse {self.models[self.unit.model][0]}")
        labels = {0: up.at(1.0), rows // 2: up.at(0.5), rows - 1: up.at(0.0)}
        return [
            Text.assemble((number_text(labels[line]) if line in labels else "").rjust(LABEL), ("│", "dim"), *cells)
            for line, cells in enumerate(grid)
        ]

    def pick(self, row: int) -> None:
        """Put the cursor on the unit of a row."""
        if row != self.row:
            self.row = row
            self.refresh()
            self.post_message(self.Picked())

    def action_move(self, across: int, down: int) -> None:
        """Select the nearest unit in a direction: `across` 1 is right, -1 left, `down` 1 down, -1 up."""
        here = self._cells[self.row]
        away = self._cells - here
        ahead = (away @ np.array([across, down]) > 0) & (self._cells[:, 0] >= 0)
        if ahead.any():
            sideways = np.abs(away @ np.array([down, across]))
            distance = np.where(ahead, np.abs(away @ np.array([across, down])) + 3 * sideways, np.iinfo(int).max)
            self.pick(int(distance.argmin()))

    def next_here(self, step: int) -> None:
        """Select the next unit in the same cell of the plot, the previous one for a `step` of -1, or around."""
        rows = np.flatnonzero((self._cells == self._cells[self.row]).all(1)).tolist()
        self.pick(rows[(rows.index(self.row) + step) % len(rows)])

    def on_click(self, event: events.Click) -> None:
        position = event.get_content_offset(self)
        drawn = np.flatnonzero(self._cells[:, 0] >= 0)
        if position is None or not len(drawn):
            return
        point = np.array([position.x - LABEL - 1, position.y - len(self.models)])
        self.pick(int(drawn[(np.abs(self._cells[drawn] - point) * [1, 2]).sum(1).argmin()]))


class ScatterScreen(TellsErrors, Screen[None]):
    """A scatter of a layer's units in every model that has it, or of all in the panes' table where it has several
    layers. Posts `GoTo` with the picked unit at Enter.
    """

    DEFAULT_CSS = """
    ScatterScreen > Horizontal { height: 1fr; }
    ScatterScreen UnitPanel { width: 2fr; }
    ScatterScreen.-narrow UnitPanel { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,X", "app.pop_screen", "Back"),
        Binding("enter", "go", "Go there"),
        Binding("s", "metric(0, 1)", "Metric →"),
        Binding("S", "metric(0, -1)", "Previous metric of the x axis", show=False),
        Binding("w", "metric(1, 1)", "Metric ↑"),
        Binding("W", "metric(1, -1)", "Previous metric of the y axis", show=False),
        Binding("n", "here(1)", "Next here"),
        Binding("N", "here(-1)", "Previous here", show=False),
        Binding("v", "view", "View"),
    ]

    def __init__(self, session: Session, unit: Unit) -> None:
        """Show the units of the layer of `unit` (see `plotted_table`), with the cursor on `unit`.

        Raises StoreError where they cannot be read.
        """
        super().__init__()
        self._session = session
        table = plotted_table(session, unit)
        self._metrics = metrics_of(table)
        self._chosen = [self._metrics.index(name) if name in self._metrics else 0 for name in _FIRST]
        self.plot = ScatterPlot(table, table.row(unit) or 0, *self.names)
        self.panel = session.new_panel()
        self.panel.follows = False

    @property
    def names(self) -> tuple[str, str]:
        """The metrics across and up."""
        return self._metrics[self._chosen[0]], self._metrics[self._chosen[1]]

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.plot
            yield self.panel
        yield KeyBar()

    def on_mount(self) -> None:
        self.plot.focus()
        self.on_scatter_plot_picked()

    def on_scatter_plot_picked(self) -> None:
        """Show the picked unit."""
        self.panel.show(self.plot.unit, self.plot.table, [])

    def action_metric(self, axis: int, step: int) -> None:
        """Show the next metric on an axis (0 across, 1 up), the previous one for a `step` of -1."""
        self._chosen[axis] = (self._chosen[axis] + step) % len(self._metrics)
        self.plot.show(*self.names)

    def action_here(self, step: int) -> None:
        """Select the next unit in the same cell, the previous one for a `step` of -1."""
        self.plot.next_here(step)

    def action_go(self) -> None:
        """Ask for the picked unit in the panes."""
        self.post_message(GoTo(self.plot.unit))

    def action_view(self) -> None:
        """Show the images in the next view."""
        self.panel.next_view()
