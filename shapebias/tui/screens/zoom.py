"""One unit over the whole screen: larger pictures, or the only ones in a small terminal."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from shapebias.core.store.reader import Unit
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.key_bar import KeyBar


class ZoomScreen(TellsErrors, Screen[None]):
    """A panel for the unit under the table's cursor: j k move that cursor, the arrows that of the images."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("j", "move(1)", "Next"),
        Binding("k", "move(-1)", "Previous"),
        *(Binding(str(number), f"app.image({number - 1})", f"Image {number}", show=False) for number in range(1, 10)),
    ]

    def __init__(self, session: Session, unit: Unit) -> None:
        """Begin at `unit`, which is under the table's cursor. Raises StoreError."""
        super().__init__()
        self._unit, self._table = unit, session.load((unit.model, unit.layer))
        self.panel = session.new_panel()

    def compose(self) -> ComposeResult:
        yield self.panel
        yield KeyBar()

    def on_mount(self) -> None:
        self.panel.show(self._unit, self._table, [])
        self.panel.grid.focus()

    async def action_move(self, rows: int) -> None:
        """Move the table's cursor, which the panel follows."""
        await self.app.run_action(f"table('move({rows})')")
