"""The cells of a grid that are text: captions below tiles, the cursor around one, tiles that are cells themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from shapebias.core.numbers import number_text
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.pictures.layout import GridLayout

_SHORTEST = 3  # cells of a name that says something


class TileStyles(NamedTuple):
    """The styles of blank cells, of captions, of the caption with the cursor, and of the lines beside its tile."""

    blank: Style
    caption: Style
    cursor: Style
    line: Style


@dataclass(frozen=True)
class TileText:
    """The cells of tiles in a layout: `captions` below them and, where they are not painted, the rows of their `cells`.

    With `lines` the tile under the cursor has a line at its left and at its right.
    """

    layout: GridLayout
    captions: Sequence[str]
    cells: Sequence[list[list[Segment]]] = ()
    lines: bool = True

    def strip(self, y: int, width: int, cursor: int | None, styles: TileStyles) -> Strip:
        """Return a row of `width` cells; `cursor` is the number of a tile, None for no cursor."""
        layout = self.layout
        row, inner = divmod(y, layout.cell_rows)
        segments, end = list[Segment](), 0
        for index in range(row * layout.columns, min((row + 1) * layout.columns, len(self.captions))):
            marked = index == cursor and inner <= layout.tile_rows
            start = layout.cell_of(index)[0]
            between = start - end - (marked and self.lines)
            segments.append(Segment(" " * between, styles.blank))
            segments += self._tile(index, inner, marked, styles)
            in_caption = inner == layout.tile_rows
            end = start + (layout.caption_columns if in_caption else layout.tile_columns + (marked and self.lines))
        return Strip(segments).adjust_cell_length(width, styles.blank)

    def _tile(self, index: int, inner: int, marked: bool, styles: TileStyles) -> Iterator[Segment]:
        """Yield the cells of a row of a tile, or of its caption, with the lines beside them where it is `marked`."""
        layout = self.layout
        if marked and self.lines:
            yield Segment("▐", styles.line)
        if inner == layout.tile_rows:
            yield Segment(self.captions[index], styles.cursor if marked else styles.caption)
        elif inner < layout.tile_rows and self.cells:
            yield from self.cells[index][inner]
        else:
            yield Segment(" " * layout.tile_columns, styles.blank)
        if marked and self.lines and inner < layout.tile_rows:
            yield Segment("▌", styles.line)


def captions(store: Store, unit: Unit, count: int, width: int) -> list[str]:
    """Return what is below the strongest `count` images of a unit: number, name, activation, in `width` cells each.

    Raises StoreError.
    """
    count = min(count, len(store.top(unit).image))
    return [_fitted(*facts_of(store, unit, rank), width) for rank in range(count)]


def facts_of(store: Store, unit: Unit, rank: int) -> tuple[str, str, str]:
    """Return of one of a unit's top images its number from 1, its name, and the activation.

    The name is its class, or its file's name where it has none; it need not be printable. Raises StoreError.
    """
    top = store.top(unit)
    image = int(top.image[rank])
    name = store.class_of(image) or store.image_name(image).rpartition("/")[2]
    return str(rank + 1), name, number_text(float(top.value[rank]))


def _fitted(number: str, name: str, value: str, width: int) -> str:
    """Return a caption; what does not fit is left out: the name first, then the value."""
    room = width - len(number) - len(value) - 2
    if room >= _SHORTEST:
        name = printable(name)
        cut = name if cell_width(name) <= room else set_cell_size(name, room - 1) + "…"
        return f"{number} {padded(cut, room)} {value}"
    gap = width - len(number) - len(value)
    return f"{number}{' ' * gap}{value}" if gap > 0 else padded(number[:width], width)
