"""The status line: where the cursor is, the filter, what is marked, what the sort column means."""

from textual.widgets import Static

from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Unit
from shapebias.core.store.schema import Layer
from shapebias.core.text import printable
from shapebias.core.units.marks import Marks
from shapebias.tui.widgets.layer_list import Scope
from shapebias.tui.widgets.unit_table import UnitTableView


class StatusLine(Static):
    """One line of text; the `figures` of the last move come first, if there are any (`--debug-stats`)."""

    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; background: $surface; color: $text-muted; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.figures = ""
        self._said: tuple[str, Unit | None] = ("", None)

    def say(self, text: str, unit: Unit | None) -> None:
        """Let `show` write a text at the beginning of the line, as long as the cursor is on `unit`."""
        self._said = (text, unit)

    def show(self, scope: Scope, layer: Layer, units: UnitTableView, condition: str, marks: Marks) -> None:
        """Write the line anew: where the cursor is, the filter, how many units are marked, and the size of the maps.

        What the sort column means comes last.

        scope:      the models and layers whose units are in the table
        layer:      the layer of the unit under the cursor
        units:      the table
        condition:  its filter, empty for none
        """
        text, unit = self._said
        here = units.unit
        metric = METRICS.get(units.sort_by)
        whole = [] if None not in scope else ["all layers"]
        position_text = filter(None, scope) if here is None else (here.model, here.layer, str(here.index))
        trail = [*whole, *position_text]
        parts = [
            self.figures,
            text if unit == here else "",
            " › ".join(printable(name, 40) for name in trail),
            f"filter: {condition}" if condition else "",
            f"{len(units.selected):,} units: m or Space marks them, Escape leaves" if units.has_range else "",
            f"{len(marks)} marked" if len(marks) else "",
            f"maps {layer.map_height} × {layer.map_width}",
            f"{metric.low} … {metric.high}" if metric is not None else "",
        ]
        self.update(printable("   ".join(filter(None, parts)), 400), layout=False)
