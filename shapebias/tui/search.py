"""The line in which a unit is searched."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class SearchLine(Input):
    """Takes the status line's place at `/`, so that nothing else moves; Enter goes to the unit, Escape closes."""

    DEFAULT_CSS = "SearchLine { display: none; height: 1; border: none; padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(placeholder="unit number", id=id, compact=True)

    def open(self) -> None:
        """Shows the line, empty, with the keyboard's focus."""
        self.value = ""
        self._swap(True)
        self.focus()

    def action_close(self) -> None:
        self._swap(False)
        self.screen.query_one("#units").focus()

    def _swap(self, searching: bool) -> None:
        self.display = searching
        self.screen.query_one("#status").display = not searching
