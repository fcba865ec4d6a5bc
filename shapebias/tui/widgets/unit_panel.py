"""The unit under the cursor: its name, its numbers, its grid of top images."""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Static

from shapebias.core.analysis.dissection import concepts_of
from shapebias.core.analysis.histogram import Histogram, activation_histogram
from shapebias.core.errors import ShapebiasError
from shapebias.core.metrics import METRICS
from shapebias.core.pictures.tiles import View
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import UnitTable
from shapebias.tui.terminal.query import Graphics, Terminal
from shapebias.tui.widgets.grid_view import GridView

_ROOMY = 24  # rows of the panel from which more is said than its numbers
_REST = 0.15  # seconds on a unit before its activations are read
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
    UnitPanel.-roomy > .numbers { height: 6; }
    """

    def __init__(
        self, store: Store, marks: Marks, terminal: Terminal, graphics: Graphics, view: View, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.follows = True  # the table's cursor
        self._store, self._marks = store, marks
        self._numbers = Static(classes="numbers")
        self.grid = GridView(store, terminal, graphics, view)
        self._unit: Unit | None = None
        self._values: dict[str, float | str] = {}
        self._closer: _Closer | None = None
        self._resting: Timer | None = None

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
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST, self._look_closer)

    def on_resize(self) -> None:
        self.set_class(self.size.height >= _ROOMY, "-roomy")
        self.call_after_refresh(self.write)

    def _look_closer(self) -> None:
        """Reads what takes longer than a move may, on a thread."""
        unit = self._unit
        if unit is None or not self.has_class("-roomy") or (self._closer and self._closer.unit == unit):
            return
        bins = min(max(self._numbers.size.width - 30, 8), 40)

        def read() -> None:
            try:
                found = _Closer(unit, activation_histogram(self._store, unit, bins), concepts_of(self._store, unit))
            except ShapebiasError:  # a store's damage is said where it is in the way
                return
            if self.is_attached:
                self.app.call_later(self._take_closer, found)

        self.run_worker(read, thread=True, exclusive=True, group="closer")

    def _take_closer(self, found: "_Closer") -> None:
        self._closer = found
        self.write()

    def next_view(self) -> None:
        """Crops, masked images, whole images, in turn."""
        self.grid.view = self.grid.view.next
        self.write()

    def write(self) -> None:
        """What it is and its note, its strongest image; where there is room its activations and concepts; as many
        numbers as fit (the table has them all)."""
        width = self._numbers.size.width
        if self._unit is None or not width:  # it is written when it has a place
            return
        title = Text(printable(str(self._unit), 60), style="bold")
        if self._unit in self._marks:
            title.append(f" ● {printable(self._marks.note(self._unit))}", style="not bold")
        title.append(f"  {_VIEWS[self.grid.view]}", style="not bold dim")
        title.truncate(width, overflow="ellipsis")
        lines = [title, self._strongest(), *self._metrics(width)[:2]]
        if self.has_class("-roomy") and self._closer is not None and self._closer.unit == self._unit:
            lines += [_histogram_line(self._closer.histogram), _concepts_line(self._closer.concepts, width)]
        self._numbers.update(Text("\n").join(lines), layout=False)

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


@dataclass(frozen=True)
class _Closer:
    """What is read of a unit when the cursor rests on it."""

    unit: Unit
    histogram: Histogram | None
    concepts: list[tuple[str, str, float]]


def _histogram_line(found: Histogram | None) -> Text:
    if found is None:
        return Text()
    line = Text.assemble(("images ", "dim"), f"{found.low:.3g} {found.bars} {found.high:.3g}")
    if found.zeros:
        line.append(f"  {found.zeros / found.images:.0%} silent", style="dim")
    return line


def _concepts_line(concepts: list[tuple[str, str, float]], width: int) -> Text:
    """The best concept of each category, as many as fit."""
    line = Text()
    for name, _, iou in concepts:
        piece = f"{printable(name, 24)} {iou:.2f}  "
        if line.cell_len + cell_len(piece) + 9 > width:
            break
        line.append(piece)
    return Text.assemble(("overlaps ", "dim"), line) if line else line
