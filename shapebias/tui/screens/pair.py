"""Any two units side by side: one that was kept, and the one under the table's cursor."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen

from shapebias.core.store.reader import Unit
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.unit_panel import UnitPanel


class PairScreen(TellsErrors, Screen[None]):
    """The `kept` unit left, right the unit under the table's cursor, which the keys move."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    PairScreen > Horizontal { height: 1fr; }
    PairScreen UnitPanel { width: 1fr; }
    PairScreen.-narrow > Horizontal { layout: vertical; }
    PairScreen.-narrow UnitPanel { width: 100%; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("x", "keep", "Keep the right one"),
        Binding("j,down", "move(1)", "Next"),
        Binding("k,up", "move(-1)", "Previous"),
        Binding("left_square_bracket", "app.layer(-1)", "Previous layer", show=False),
        Binding("right_square_bracket", "app.layer(1)", "Next layer"),
        Binding("v", "view", "View"),
    ]

    def __init__(self, session: Session, kept: Unit, unit: Unit) -> None:
        """Show the unit `kept` at the left, and at the right `unit`, which is under the table's cursor."""
        super().__init__()
        self._session, self._first = session, (kept, unit)
        self.left, self.right = session.new_panel(), session.new_panel()
        self.left.follows = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.left
            yield self.right
        yield KeyBar()

    def on_mount(self) -> None:
        for panel, unit in zip((self.left, self.right), self._first, strict=True):
            self._show(panel, unit)

    def _show(self, panel: UnitPanel, unit: Unit) -> None:
        panel.show(unit, self._session.load((unit.model, unit.layer)), [])

    async def action_move(self, rows: int) -> None:
        """Move the table's cursor, which the right panel follows."""
        await self.app.run_action(f"table('move({rows})')")

    def action_keep(self) -> None:
        """Keep the unit at the right: it goes to the left."""
        unit = self.right.unit
        if unit is not None:
            self._session.kept = unit
            self._show(self.left, unit)

    def action_view(self) -> None:
        """Show the images of both units in the next view."""
        for panel in (self.left, self.right):
            panel.next_view()
