"""One unit over the whole screen: larger pictures, or the only ones in a small terminal."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from shapebias.core.units import UnitTable
from shapebias.tui.unit_panel import UnitPanel
from shapebias.tui.unit_table import UnitTableView


class ZoomScreen(Screen[None]):
    """Shows the unit under the table's cursor, which it moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "app.pop_screen", "Back"),
        Binding("j,down", "move(1)", "Next"),
        Binding("k,up", "move(-1)", "Previous"),
    ]

    def __init__(self, units: UnitTableView, table: UnitTable, panel: UnitPanel) -> None:
        super().__init__()
        self._units, self._table = units, table
        self.panel = panel

    def compose(self) -> ComposeResult:
        yield self.panel
        yield Footer()

    def on_mount(self) -> None:
        unit = self._units.unit
        assert unit is not None
        self.panel.show(unit, self._table, [])

    def action_move(self, rows: int) -> None:
        self._units.action_move(rows)
