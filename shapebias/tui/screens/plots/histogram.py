"""The histogram of a metric, those of all models over each other, with a pointer at the unit under the cursor."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Horizontal
from textual.screen import Screen

from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text
from shapebias.core.store.reader import Unit
from shapebias.core.text import cell_width, printable
from shapebias.core.units.table import UnitTable
from shapebias.tui.screens.plots.unit_plot import LABEL, UnitPlot, metrics_of, plotted_table
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.text_plots import Axis

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_FIRST = "smoothness"  # the metric at first where the table is sorted by none
_POINTER = "▲"
_LEAST_BINS = 8


class HistogramPlot(UnitPlot):
    """Bars for the share of each model's units in each bin of a metric; where bars overlap, their colours are mixed."""

    def __init__(self, table: UnitTable, row: int, metric: str) -> None:
        super().__init__(table, row)
        self._metric = metric
        self._drawn: tuple[object, list[Text]] = (None, [])  # a key of what the bars show, and their lines

    def show(self, table: UnitTable, row: int, metric: str) -> None:
        """Show a metric of the units of a table, and point at the unit of a row."""
        self.take(table, row)
        self._metric = metric
        self.refresh()

    def render(self) -> RenderResult:
        width, height = self.content_size
        columns, rows = max(width - LABEL - 1, 1), max(height - len(self.models) - 4, 1)
        values = self.table.columns[self._metric].astype(np.float64)
        axis, metric = Axis(values), METRICS[self._metric]
        write_frame(self, metric.title, f"{len(self.table):,} units", f"{metric.low} … {metric.high}")
        subject = (id(self.table), self._metric, rows, columns)
        if self._drawn[0] != subject:
            bins = min(max(round(2 * math.sqrt(len(values) / len(self.models))), _LEAST_BINS), columns)
            self._drawn = subject, self._bars(axis.cells(values, bins), bins, rows, columns)
        axis_line, numbers = self.axis_lines(axis, columns)
        cell = int(axis.cells(values[[self.row]], columns)[0])
        pointer = self._pointer(float(values[self.row]), cell, width)
        lines = [self.spread_line(model, values, axis, columns) for model in self.models]
        return Text("\n").join([*lines, *self._drawn[1], axis_line, pointer, numbers, self._medians(values)])

    def _bars(self, bin_of: NDArray[np.int64], bins: int, rows: int, columns: int) -> list[Text]:
        """Return `rows` lines of bars, `columns` cells wide, with the share of units written before two of the lines.

        `bin_of` is the bin of every unit, int64 [units] from 0 to `bins` - 1; -1 where its value is undefined.
        """
        shares = {model: self._shares(model, bin_of, bins) for model in self.models}
        top = max((float(share.max(initial=0.0)) for share in shares.values()), default=0.0) or 1.0
        eighths = {model: np.rint(share / top * 8 * rows).astype(int) for model, share in shares.items()}
        for model, heights in eighths.items():
            heights[(shares[model] > 0) & (heights == 0)] = 1  # what there is can be seen
        labels = {0: f"{top:.1%}", rows // 2: f"{top * (1 - (rows // 2) / rows):.1%}"}
        lines = []
        for line in range(rows):
            above = {model: (heights - 8 * (rows - 1 - line)).tolist() for model, heights in eighths.items()}
            drawn = [self._cell({model: own[number] for model, own in above.items()}) for number in range(bins)]
            cells = [drawn[column * bins // columns] for column in range(columns)]
            lines.append(Text.assemble(labels.get(line, "").rjust(LABEL), ("│", "dim"), *cells))
        return lines

    def _shares(self, model: str, bin_of: NDArray[np.int64], bins: int) -> NDArray[np.float64]:
        """Return which share of a model's units is in each bin, float64 [bins]."""
        own = bin_of[self.in_model(model)]
        return np.bincount(own[own >= 0], minlength=bins) / max(len(own), 1)

    def _cell(self, heights: dict[str, int]) -> tuple[str, str]:
        """Return the character and the style of a cell in which bars have such heights, in eighths from its floor."""
        reaching = sorted((height, self.models[model][0]) for model, height in heights.items() if height > 0)
        if not reaching:
            return " ", ""
        height, behind = reaching[0][0], [colour for more, colour in reaching[1:] if more >= 8]
        mixed = _mixed([colour for _, colour in reaching])
        if height >= 8:
            return _EIGHTHS[8], mixed
        return _EIGHTHS[height], f"{mixed} on {_mixed(behind)}" if behind else mixed

    def _pointer(self, value: float, cell: int, width: int) -> Text:
        """Return the line below the axis with an arrow at the unit's value."""
        colour, mark = self.models[self.unit.model]
        name = f"{mark} {printable(str(self.unit), 60)}  {number_text(value)}"
        if cell < 0:
            return Text(f"{' ' * (LABEL + 1)}{name}: undefined", colour)
        before = LABEL + 1 + cell
        if before + 2 + cell_width(name) <= width:
            return Text(f"{' ' * before}{_POINTER} {name}", f"bold {colour}")
        return Text(f"{' ' * max(before - 1 - cell_width(name), 0)}{name} {_POINTER}", f"bold {colour}")

    def _medians(self, values: NDArray[np.float64]) -> Text:
        """Return one line with the median of each model."""
        line = Text(" " * (LABEL + 1))
        for model, (colour, mark) in self.models.items():
            known = values[self.in_model(model) & np.isfinite(values)]
            median = number_text(float(np.median(known))) if len(known) else "–"
            line.append(f"{mark} {printable(model, 40)}", colour).append(f"  median {median}   ", "dim")
        return line


def _mixed(colours: Sequence[str]) -> str:
    """Return the mean of colours, in hexadecimal."""
    parsed = [Color.parse(colour) for colour in colours]
    red, green, blue = (round(sum(channel) / len(parsed)) for channel in zip(*(one.rgb for one in parsed), strict=True))
    return Color(red, green, blue).hex


class HistogramScreen(TellsErrors, Screen[None]):
    """A histogram of a layer's units in every model that has it, or of all in the panes' table where it has several
    layers; beside it the unit under the table's cursor, which the keys move.
    """

    DEFAULT_CSS = """
    HistogramScreen > Horizontal { height: 1fr; }
    HistogramScreen UnitPanel { width: 2fr; }
    HistogramScreen.-narrow UnitPanel { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,h", "app.pop_screen", "Back"),
        Binding("s,right", "metric(1)", "Metric"),
        Binding("S,left", "metric(-1)", "Previous metric", show=False),
        Binding("j,down", "move(1)", "Next"),
        Binding("k,up", "move(-1)", "Previous"),
        Binding("enter", "app.pop_screen", "Go there", show=False),
        Binding("left_square_bracket", "app.layer(-1)", "Previous layer", show=False),
        Binding("right_square_bracket", "app.layer(1)", "Next layer"),
        Binding("v", "app.view", "View"),
    ]

    def __init__(self, session: Session, unit: Unit) -> None:
        """Begin with the metric by which the table is sorted, else with smoothness. Raises StoreError."""
        super().__init__()
        self._session = session
        table = plotted_table(session, unit)
        metrics = metrics_of(table)
        self.metric = next((name for name in (session.sorted_by, _FIRST) if name in metrics), metrics[0])
        self.plot = HistogramPlot(table, table.row(unit) or 0, self.metric)
        self.panel = session.new_panel()

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.plot
            yield self.panel
        yield KeyBar()

    def on_mount(self) -> None:
        self.plot.focus()
        unit = self.plot.unit
        self.panel.show(unit, self._session.load((unit.model, unit.layer)), [])

    def follow(self, unit: Unit) -> None:
        """Show where a unit is in the histogram, which becomes that of its layer. Raises StoreError."""
        table = plotted_table(self._session, unit)
        metrics = metrics_of(table)
        self.metric = self.metric if self.metric in metrics else metrics[0]
        self.plot.show(table, table.row(unit) or 0, self.metric)

    async def action_move(self, rows: int) -> None:
        """Move the table's cursor, which the pointer and the panel follow."""
        await self.app.run_action(f"table('move({rows})')")

    def action_metric(self, step: int) -> None:
        """Show the next metric for a `step` of 1, the previous one for -1."""
        metrics = metrics_of(self.plot.table)
        self.metric = metrics[(metrics.index(self.metric) + step) % len(metrics)]
        self.plot.show(self.plot.table, self.plot.row, self.metric)
