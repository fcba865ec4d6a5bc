"""The unit under the cursor: its name, its numbers, its grid of top images."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shapebias.core.grid import View
from shapebias.core.metrics import METRICS
from shapebias.core.store import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units import UnitTable
from shapebias.tui.grid_view import GridView
from shapebias.tui.terminal import Graphics, Terminal

_VIEWS = {
    View.CROP: "around the maximum",
    View.MASK: "where it fires (a > q995)",
    View.WHOLE: "whole images",
}


class UnitPanel(Vertical):
    """Numbers above, pictures below."""

    DEFAULT_CSS = """
    UnitPanel { padding: 0 0 0 1; }
    UnitPanel > .numbers { height: 4; }
    """

    def __init__(self, store: Store, terminal: Terminal, graphics: Graphics, id: str | None = None) -> None:
        super().__init__(id=id)
        self._store = store
        self._numbers = Static(classes="numbers")
        self.grid = GridView(store, terminal, graphics)
        self._unit: Unit | None = None
        self._values: dict[str, float] = {}

    def compose(self) -> ComposeResult:
        yield self._numbers
        yield self.grid

    def show(self, unit: Unit, table: UnitTable, neighbours: list[Unit]) -> None:
        """Shows a unit of `table`."""
        row = int((table.index == unit.index).argmax())
        self._unit = unit
        self._values = {name: float(values[row]) for name, values in table.columns.items()}
        self._write()
        self.grid.show(unit, neighbours)

    def next_view(self) -> None:
        """Crops, masked images, whole images, in turn."""
        self.grid.view = self.grid.view.next
        self._write()

    def _write(self) -> None:
        """Four lines: what it is, its strongest image, as many numbers as fit (the table has them all)."""
        if self._unit is None:
            return
        text = Text(overflow="ellipsis")
        text.append(printable(str(self._unit), 60), style="bold")
        text.append(f"  {_VIEWS[self.grid.view]}\n", style="dim")
        top = self._store.top(self._unit)
        if len(top.image):
            strongest = int(top.image[0])
            name = self._store.class_of(strongest) or self._store.image_name(strongest)
            text.append("strongest ", style="dim")
            text.append(f"{printable(name, 40)}\n")
        for name, value in self._values.items():
            text.append(f"{METRICS[name].title} ", style="dim")
            text.append(f"{METRICS[name].format(value)}  ")
        self._numbers.update(text, layout=False)
