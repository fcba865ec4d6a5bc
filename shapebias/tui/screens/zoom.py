"""One unit over the whole screen: larger pictures, or the only ones in a small terminal."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.units.table import UnitTable
from shapebias.tui.widgets.unit_panel import UnitPanel
from shapebias.tui.widgets.unit_table import UnitTableView


class ZoomScreen(Screen[None]):
    """Shows the unit under the table's cursor, which it moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("enter", "image(0)", "An image"),
        Binding("j,down", "move(1)", "Next"),
        Binding("k,up", "move(-1)", "Previous"),
        *(Binding(str(number), f"image({number - 1})", f"Image {number}", show=False) for number in range(1, 10)),
    ]

    def __init__(
        self, units: UnitTableView, table: UnitTable, panel: UnitPanel, open_image: Callable[[UnitImage], None]
    ) -> None:
        super().__init__()
        self._units, self._table, self._open_image = units, table, open_image
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

    def action_image(self, rank: int) -> None:
        """One of the unit's images, by its rank from 0, else the last."""
        unit = self._units.unit
        if unit is not None:
            self._open_image(UnitImage(unit, rank))
