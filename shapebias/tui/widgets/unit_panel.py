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
from shapebias.tui.widgets.grid_view import GridView

_ROOMY = 24  # rows of the panel from which more is said than its numbers
_REST = 0.15  # seconds on a unit before its activations are read
_VIEWS = {
    View.CROP: "around the maximum",
    View.MASK: "where it fires (a > q995)",
    View.WHOLE: "whole images",
}


class UnitPanel(Vertical):
    """Numbers above, pictures below. It `follows` the table's cursor, unless a screen sets that to False."""

    DEFAULT_CSS = """
    UnitPanel { padding: 0 0 0 1; }
    UnitPanel > .numbers { height: 4; }
    UnitPanel.-roomy > .numbers { height: 6; }
    """

    def __init__(self, store: Store, marks: Marks, grid: GridView, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.follows = True
        self._store, self._marks = store, marks
        self._numbers = Static(classes="numbers")
        self.grid = grid
        self._unit: Unit | None = None
        self._values: dict[str, float | str] = {}
        self._closer: _CloserLook | None = None
        self._resting: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._numbers
        yield self.grid

    def show(self, unit: Unit, table: UnitTable, neighbours: list[Unit]) -> None:
        """Show a unit of `table`; the pictures of its `neighbours` are made ahead. Raises StoreError."""
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
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Write the lines anew for another width."""
        if self._closer is not None and self._closer.bins != self._bins:
            self._closer = None
            self._look_closer()
        self.write()

    @property
    def _bins(self) -> int:
        """The number of bars of a histogram that fit."""
        return min(max(self._numbers.size.width - 30, 8), 40)

    def _look_closer(self) -> None:
        """Read what takes longer than a move may, on a thread."""
        unit = self._unit
        if unit is None or not self.has_class("-roomy") or (self._closer and self._closer.unit == unit):
            return
        bins = self._bins

        def read() -> None:
            try:
                histogram, concepts = activation_histogram(self._store, unit, bins), concepts_of(self._store, unit)
            except ShapebiasError:  # a store's damage is said where it is in the way
                return
            if self.is_attached:
                self.app.call_later(self._take_closer, _CloserLook(unit, bins, histogram, concepts))

        self.run_worker(read, thread=True, exclusive=True, group="closer")

    def _take_closer(self, closer: "_CloserLook") -> None:
        """Write what was read."""
        self._closer = closer
        self.write()

    def next_view(self) -> None:
        """Show crops, images with the activation mask and whole images in turn."""
        self.grid.view = self.grid.view.next
        self.write()

    def write(self) -> None:
        """Write the lines above the pictures.

        They are the unit's name and note, its strongest image, and as many numbers as fit (the table has them all);
        where there is room, its activations and concepts, too.
        """
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
        """Return the line of the strongest image: its class, or its path where it has none.

        Where more images reach the unit's maximum than are listed, it says how many.
        """
        assert self._unit is not None
        top = self._store.top(self._unit)
        if not len(top.image):
            return Text()
        image = int(top.image[0])
        name = self._store.class_of(image) or self._store.image_name(image)
        line = Text.assemble(("strongest ", "dim"), printable(name, 40))
        tied = self._values.get("tied")  # not in early stores
        if isinstance(tied, float) and tied > len(top.image):
            line.append(f"  one of {tied:,.0f} at the maximum", style="yellow")
        return line

    def _metrics(self, width: int) -> list[Text]:
        """Return titles and values in lines of at most `width` cells, none of them parted."""
        lines = [Text()]
        for name, value in self._values.items():
            metric = METRICS[name]
            if lines[-1].cell_len + len(metric.title) + 1 + len(metric.format(value)) > width:
                lines.append(Text())
            lines[-1].append(f"{metric.title} ", style="dim").append(f"{metric.format(value)}  ")
        return lines


@dataclass(frozen=True)
class _CloserLook:
    """The data that is read about a unit when the cursor rests on it."""

    unit: Unit
    bins: int
    histogram: Histogram | None
    concepts: list[tuple[str, str, float]]


def _histogram_line(histogram: Histogram | None) -> Text:
    """Return the line of a unit's activations over the images; empty where the store has none."""
    if histogram is None:
        return Text()
    line = Text.assemble(("images ", "dim"), f"{histogram.low:.3g} {histogram.bars} {histogram.high:.3g}")
    if histogram.zeros:
        line.append(f"  {histogram.zeros / histogram.images:.0%} silent", style="dim")
    return line


def _concepts_line(concepts: list[tuple[str, str, float]], width: int) -> Text:
    """Return the line of the best concept of each category, as many as fit."""
    line = Text()
    for name, _, iou in concepts:
        piece = f"{printable(name, 24)} {iou:.2f}  "
        if line.cell_len + cell_len(piece) + 9 > width:
            break
        line.append(piece)
    return Text.assemble(("overlaps ", "dim"), line) if line else line
