"""The unit under the cursor: its name, its card, its grid of top images."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from shapebias.core.analysis.dissection import concepts_of
from shapebias.core.analysis.histogram import Histogram, activation_histogram
from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import View
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import UnitTable
from shapebias.tui.pictures.tile_text import facts_of
from shapebias.tui.widgets.framed import MUTED, write_frame
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.table_columns import Column, lay_out
from shapebias.tui.widgets.unit_card import concept_line, histogram_lines, value_lines

_ROOMY, _TALL = 22, 36  # rows of the panel from which more is said than a few numbers, and more than that
_REST = 0.15  # seconds on a unit before its activations are read
_LABELLED = 44  # cells of the card from which the class and the activation of an image have labels
_MOST_BINS = 60
_VIEWS = {
    View.CROP: "around the maximum",
    View.MASK: "where it fires (a > q995)",
    View.WHOLE: "whole images",
}


class UnitPanel(Vertical):
    """A card above, pictures below; the unit's name is the frame's title, how the pictures are shown its subtitle.

    The card is as high for all units, so that pictures stay where they are. The panel `follows` the table's cursor,
    unless a screen sets that to False.
    """

    DEFAULT_CSS = """
    UnitPanel > .card { height: 3; padding: 0 0 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    UnitPanel.-roomy > .card { height: 8; }
    UnitPanel.-tall > .card { height: 10; }
    """

    def __init__(self, store: Store, marks: Marks, grid: GridView, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="framed")
        self.follows = True
        self._store, self._marks = store, marks
        self._card = Static(classes="card")
        self.grid = grid
        self._unit: Unit | None = None
        self._table: UnitTable | None = None
        self._columns: dict[str, Column] = {}
        self._row = 0
        self._closer: _CloserLook | None = None
        self._resting: Timer | None = None

    @property
    def unit(self) -> Unit | None:
        """The unit that is shown, None before the first."""
        return self._unit

    def compose(self) -> ComposeResult:
        yield self._card
        yield self.grid

    def show(self, unit: Unit, table: UnitTable, neighbours: list[Unit]) -> None:
        """Show a unit of `table`; the pictures of its `neighbours` are made ahead. Raises StoreError."""
        if table is not self._table:
            self._table, self._columns = table, lay_out(table, (), {}, "")
        self._unit, self._row = unit, table.row(unit) or 0
        self.grid.show(unit, neighbours)
        self.write()
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST, self._look_closer)

    def on_resize(self) -> None:
        self.set_class(self.size.height >= _ROOMY, "-roomy")
        self.set_class(self.size.height >= _TALL, "-tall")
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Write the card anew for another size."""
        if self._closer is not None and self._closer.bins != self._bins:
            self._closer = None
            self._look_closer()
        self.write()

    @property
    def _bins(self) -> int:
        """The number of bars of a histogram that fit."""
        return min(max(self._card.size.width, 8), _MOST_BINS)

    def _look_closer(self) -> None:
        """Read the unit's histogram and concepts on a thread, if the card has room for them."""
        unit = self._unit
        if unit is None or not self.has_class("-roomy") or (self._closer and self._closer.unit == unit):
            return
        bins = self._bins

        def read() -> None:
            try:
                histogram, concepts = activation_histogram(self._store, unit, bins), concepts_of(self._store, unit)
            except ShapebiasError:  # a damaged store is reported when the user asks for its data
                return
            if self.is_attached:
                self.app.call_later(self._take_closer, _CloserLook(unit, bins, histogram, concepts))

        self.run_worker(read, thread=True, exclusive=True, group="closer")

    def _take_closer(self, closer: "_CloserLook") -> None:
        """Write the card anew with the histogram and the concepts that were read."""
        self._closer = closer
        self.write()

    def next_view(self) -> None:
        """Show crops, images with the activation mask and whole images in turn."""
        self.grid.view = self.grid.view.next
        self.write()

    def write(self) -> None:
        """Write the frame and the card: the image under the cursor, as many numbers as fit (the table has them all).

        Where there is room, the histogram of the unit's activations and its concepts follow, once they are read.
        Nothing happens before the first unit, or while the card has no width. Raises StoreError.
        """
        width = self._card.size.width
        if self._unit is None or not width:  # it is written when it has a place
            return
        self._write_frame(self._unit)
        roomy = self.has_class("-roomy")
        lines = [self._image(self._unit)]
        lines += value_lines(self._columns, self._row, width, (5 if self.has_class("-tall") else 3) if roomy else 2)
        if roomy and self._closer is not None and self._closer.unit == self._unit:
            lines += [*histogram_lines(self._closer.histogram), concept_line(self._closer.concepts, width)]
        self._card.update(Content("\n").join(lines), layout=False)

    def _write_frame(self, unit: Unit) -> None:
        """Write the unit's name into the frame, and where it is marked a dot and its note; how pictures are shown."""
        note = f"● {self._marks.note(unit)}" if unit in self._marks else ""
        write_frame(self, str(unit), note, _VIEWS[self.grid.view])

    def on_grid_view_moved(self, event: GridView.Moved) -> None:
        event.stop()
        self.write()

    def _image(self, unit: Unit) -> Content:
        """Return a line on the image under the grid's cursor: number, class, activation, path. Raises StoreError.

        Where more images reach the unit's maximum than are listed, it says how many.
        """
        top, rank = self._store.top(unit), self.grid.cursor
        if not len(top.image):
            return Content()
        number, name, value = facts_of(self._store, unit, rank)
        short = self._card.size.width < _LABELLED
        line = Content.assemble(
            ("" if short else "image ", MUTED), number, (f"/{len(top.image)}  ", MUTED), printable(name, 40)
        )
        line += Content.assemble(("  " if short else "  activation ", MUTED), value)
        tied = self._table.columns.get("tied") if self._table is not None else None  # not in early stores
        if tied is not None and tied[self._row] > len(top.image):
            line += Content(f"  one of {tied[self._row]:,.0f} images with the maximum").stylize("$text-warning")
        return line + Content(f"  {printable(self._store.image_name(int(top.image[rank])), 80)}").stylize(MUTED)


@dataclass(frozen=True)
class _CloserLook:
    """The data that is read about a unit when the cursor rests on it."""

    unit: Unit
    bins: int
    histogram: Histogram | None
    concepts: list[tuple[str, str, float]]
