"""The status line: what the filter leaves, the layer, what the sort column means."""

from textual.widgets import Static

from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Unit
from shapebias.core.store.schema import Layer
from shapebias.core.text import printable
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.unit_table import UnitTableView


class StatusLine(Static):
    """One line of text; the `figures` of the last move come first, if there are any (`--debug-stats`)."""

    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; background: $surface; color: $text-muted; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.figures = ""
        self._said: tuple[str, Unit | None] = ("", None)

    def say(self, text: str, unit: Unit | None) -> None:
        """Write, from the next `show` on, a text where the filter is otherwise, as long as the cursor is on `unit`."""
        self._said = (text, unit)

    def show(self, key: LayerKey, layer: Layer, units: UnitTableView, condition: str) -> None:
        """Write the line for a layer, of whose units the table `units` shows those that satisfy `condition`."""
        text, unit = self._said
        model, name = key
        metric = METRICS.get(units.sort_by)
        count = f"{units.row_count} of {layer.units} units: {condition}" if condition else ""
        parts = [
            self.figures,
            (text if unit == units.unit else "") or count,
            f"{model}  {name}  {layer.units} units, maps {layer.map_height} × {layer.map_width}",
            f"{metric.title}: {metric.low} … {metric.high}" if metric is not None else "",
        ]
        self.update(printable("   ".join(filter(None, parts)), 400), layout=False)
