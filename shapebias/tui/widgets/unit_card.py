"""The text about a unit above its pictures: numbers in columns, its activations over the images, its concepts."""

from collections.abc import Iterator, Mapping, Sequence

from textual.content import Content

from shapebias.core.analysis.histogram import Histogram
from shapebias.core.numbers import number_text
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.widgets.framed import MUTED
from shapebias.tui.widgets.table_columns import Column
from shapebias.tui.widgets.text_plots import bar

_GAP = 2  # cells between columns
_CONCEPT, _BAR = 20, 4  # cells for a concept's name and for the bar of its IoU
_FULL = 0.5  # the IoU of a full bar: few concepts are matched better


def value_lines(columns: Mapping[str, Column], row: int, width: int, lines: int) -> list[Content]:
    """Return so many `lines` with the titles and values of a table's row, in blocks side by side.

    Blocks behind the first that do not fit into `width` cells are left out, and so are texts. Without numbers all lines
    are empty.
    """
    cells = [(column.title, column.number(row).strip()) for column in columns.values() if not column.is_text]
    blocks = [_block(cells[first : first + lines]) for first in range(0, len(cells), lines)]
    written, room = [Content()] * lines, width
    for index, block in enumerate(blocks):
        room -= block[0].cell_length + (_GAP if index else 0)
        if index and room < 0:
            break
        gap = " " * _GAP if index else ""
        padded_block = [*block, *[Content(" " * block[0].cell_length)] * (lines - len(block))]
        written = [line + gap + cell for line, cell in zip(written, padded_block, strict=True)]
    return written


def _block(cells: Sequence[tuple[str, str]]) -> list[Content]:
    """Return titles (flush left) and values (aligned at the point) as lines of one width."""
    parts = [(title, *value.partition(".")) for title, value in cells]
    title, whole, decimals = (max(len(part[index]) for part in parts) for index in (0, 1, 3))
    return [
        Content.assemble(
            (name.ljust(title), MUTED),
            f" {before.rjust(whole)}{point}{behind.ljust(decimals)}" + " " * (bool(decimals) and not point),
        )
        for name, before, point, behind in parts
    ]


def histogram_lines(histogram: Histogram | None) -> list[Content]:
    """Return two lines: the bars of a unit's activations over the images, and their axis; both empty for None."""
    if histogram is None:
        return [Content(), Content()]
    low, high = number_text(histogram.low), number_text(histogram.high)
    silent = f"{histogram.zeros / histogram.images:.0%} silent " if histogram.zeros else ""
    room = max(len(histogram.bars) - len(low) - len(high) - 2, 0)
    label = f" {silent}activation "
    middle = label.center(room, "─") if room > len(label) + 1 else "─" * room
    return [Content(histogram.bars).stylize("$accent"), Content(f"{low} {middle} {high}").stylize(MUTED)]


def concept_line(concepts: Sequence[tuple[str, str, float]], width: int) -> Content:
    """Return the first of the concepts (name, category, IoU) that fit into `width` cells: name, bar and IoU of each."""
    return Content(" ").join(_chips(concepts, width))


def _chips(concepts: Sequence[tuple[str, str, float]], room: int) -> Iterator[Content]:
    for name, _, iou in concepts:
        text = printable(name, _CONCEPT)
        room -= cell_width(text) + _BAR + 8
        if room < 0:
            return
        value = f"{iou:.2f}".removeprefix("0")
        yield Content.assemble(
            (f" {padded(text, cell_width(text))} ", "$text on $panel"),
            (bar(iou / _FULL, _BAR), "$accent on $panel"),
            (f" {value} ", f"{MUTED} on $panel"),
        )
