"""The unit under the cursor: its name, its numbers, its grid of top images."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shapebias.core.grid import View
from shapebias.core.marks import Marks
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

    def __init__(
        self, store: Store, marks: Marks, terminal: Terminal, graphics: Graphics, view: View, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._store, self._marks = store, marks
        self._numbers = Static(classes="numbers")
        self.grid = GridView(store, terminal, graphics, view)
        self._unit: Unit | None = None
        self._values: dict[str, float | str] = {}

    def compose(self) -> ComposeResult:
        yield self._numbers
        yield self.grid

    def show(self, unit: Unit, table: UnitTable, neighbours: list[Unit]) -> None:
        """Shows a unit of `table`."""
        row = int((table.index == unit.index).argmax())
        self._unit = unit
        self._values = {name: table.cell(name, row) for name in table.columns}
        self.write()
        self.grid.show(unit, neighbours)

    def on_resize(self) -> None:
        self.call_after_refresh(self.write)

    def next_view(self) -> None:
        """Crops, masked images, whole images, in turn."""
        self.grid.view = self.grid.view.next
        self.write()

    def write(self) -> None:
        """Four lines: what it is and its note, its strongest image, as many numbers as fit (the table has them all)."""
        width = self._numbers.size.width
        if self._unit is None or not width:  # it is written when it has a place
            return
        title = Text(printable(str(self._unit), 60), style="bold")
        if self._unit in self._marks:
            title.append(f" ● {printable(self._marks.note(self._unit))}", style="not bold")
        title.append(f"  {_VIEWS[self.grid.view]}", style="not bold dim")
        title.truncate(width, overflow="ellipsis")
        self._numbers.update(Text("\n").join([title, self._strongest(), *self._metrics(width)]), layout=False)

    def _strongest(self) -> Text:
        assert self._unit is not None
        top = self._store.top(self._unit)
        if not len(top.image):
            return Text()
        image = int(top.image[0])
        name = self._store.class_of(image) or self._store.image_name(image)
        return Text.assemble(("strongest ", "dim"), printable(name, 40))

    def _metrics(self, width: int) -> list[Text]:
        """Titles and values in lines, none of them parted."""
        lines = [Text()]
        for name, value in self._values.items():
            metric = METRICS[name]
            if lines[-1].cell_len + len(metric.title) + 1 + len(metric.format(value)) > width:
                lines.append(Text())
            lines[-1].append(f"{metric.title} ", style="dim").append(f"{metric.format(value)}  ")
        return lines
