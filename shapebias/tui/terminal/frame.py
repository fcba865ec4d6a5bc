"""The contents of the terminal, cell by cell, so that an update of the screen sends only what changes."""

from collections.abc import Iterable, Iterator
from itertools import groupby, repeat
from operator import itemgetter

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region, Size
from textual.strip import Strip

_Cell = tuple[object, str]  # content and colour selectors; the 2nd cell of a wide character is empty
_UNKNOWN: _Cell = (None, "")


class Change(CompositorUpdate):
    """The cells that an update changes: `runs` of them, each with its row, its first column and the new cells."""

    def __init__(self, runs: list[tuple[int, int, list[_Cell]]]) -> None:
        self.runs = runs

    @property
    def regions(self) -> Iterator[Region]:
        """Yield a region for each run: the cells that are written."""
        return (Region(x, y, len(cells), 1) for y, x, cells in self.runs)

    def render_segments(self, console: Console) -> str:
        """Return the text, with control sequences, that writes the changed cells."""
        written = []
        for y, x, cells in self.runs:
            written.append(f"\x1b[{y + 1};{x + 1}H")
            for colours, group in groupby(cells, itemgetter(1)):
                text = "".join(str(content) for content, _ in group)
                written.append(f"\x1b[{colours}m{text}\x1b[0m" if colours else text)
        return "".join(written)


class Frame:
    """The cells of the screen as the terminal has them; unknown at first, and after `forget`."""

    def __init__(self, colours: ColorSystem) -> None:
        self._colours = colours
        self._rows: list[list[_Cell]] = []
        self._pictures: set[object] = set()  # owners whose pictures stay when blanks are written over them

    def forget(self) -> None:
        """Record that the contents of the terminal are unknown."""
        self._rows.clear()
        self._pictures.clear()

    def painted(self, cells: Region, owner: object) -> None:
        """Record that a picture of `owner` is painted over cells: blanks written there do not change it."""
        self._pictures.add(owner)
        for row in self._rows[cells.y : cells.bottom]:
            row[cells.x : cells.right] = [(owner, "")] * len(row[cells.x : cells.right])

    def uncover(self, owner: object = None) -> None:
        """Record that blanks remove the pictures of an owner from now on; those of all owners where it is None.

        That holds for the cells that they cover now, also where the owner paints elsewhere before blanks are written.
        """
        gone = self._pictures if owner is None else self._pictures & {owner}
        self._pictures = self._pictures - gone
        for row in self._rows if gone else ():
            row[:] = [_UNKNOWN if cell[0] in gone else cell for cell in row]

    def change(self, update: ChopsUpdate | LayoutUpdate, size: Size) -> Change:
        """Return what an update changes on a screen of `size` (columns x rows), and record it as sent.

        After a change of the size, all cells are unknown.
        """
        if len(self._rows) != size.height or (self._rows and len(self._rows[0]) != size.width):
            self._rows = [[_UNKNOWN] * size.width for _ in range(size.height)]
        runs: list[tuple[int, int, list[_Cell]]] = []
        for y, x, strips in _written(update):
            cells = [cell for strip in strips for cell in self._cells(strip)]
            if 0 <= y < size.height:
                row = self._rows[y]
                del cells[max(size.width - x, 0) :]
                for start, end in self._differing(row[x:], cells):
                    runs.append((y, x + start, cells[start:end]))
                    row[x + start : x + end] = cells[start:end]
        return Change(runs)

    def _cells(self, strip: Strip) -> Iterator[_Cell]:
        """Yield the cells of a strip, Textual's text of one row or a part of it: content and colour selectors."""
        for segment in strip:
            yield from _cells(segment, self._colours)

    def _differing(self, before: list[_Cell], after: list[_Cell]) -> list[tuple[int, int]]:
        """Return the parts (start, end) of `after` that differ from `before`; blanks do not differ from a picture.

        A part is extended to the phrase around it, which ends at two blanks, since most of what is near a change
        changes as well.
        """
        if before[: len(after)] == after:
            return []
        parts: list[tuple[int, int]] = []
        end = 0
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            if index < end or old == new or (old[0] in self._pictures and new[0] == " "):
                continue
            start, end = _phrase(after, index, end)
            if parts and start == parts[-1][1]:
                start = parts.pop()[0]
            parts.append((start, end))
        return parts


def _phrase(cells: list[_Cell], index: int, first: int) -> tuple[int, int]:
    """Return the start and the end of the phrase around the cell at `index`; a blank is a phrase of its own.

    Phrases are separated by two blanks or more. The start is at least `first`; the end is the index behind the last
    cell.
    """
    start, end = index, index + 1
    if cells[index][0] == " ":
        return start, end
    while start > first and not _is_gap(cells, start - 1, -1):
        start -= 1
    while end < len(cells) and not _is_gap(cells, end, 1):
        end += 1
    return start, end


def _is_gap(cells: list[_Cell], index: int, step: int) -> bool:
    """Return whether a phrase ends before the cell at `index`: it is blank, and the next one is blank or missing.

    The next cell is that in the direction `step`, 1 or -1.
    """
    beyond = index + step
    return cells[index][0] == " " and (not 0 <= beyond < len(cells) or cells[beyond][0] == " ")


def _written(update: ChopsUpdate | LayoutUpdate) -> Iterator[tuple[int, int, Iterable[Strip]]]:
    """Yield what an update writes, as Textual would: the row, the first column, and the strips from there."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield y, update.region.x, strips
        return
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x <= right and end > left:
                whole = left <= x < right and end <= right
                yield y, x, [strip if whole else strip.crop(0, min(end, right) - x)]


def _cells(segment: Segment, system: ColorSystem) -> Iterable[_Cell]:
    """Return the cells of a segment of text, with the colours that a terminal with the colours of `system` has."""
    text, style, _ = segment
    colours = "" if style is None else Strip.render_ansi(style, system)
    if text.isascii() or all(get_character_cell_size(character) == 1 for character in text):
        return zip(text, repeat(colours))
    cells: list[_Cell] = []
    for character in text:
        width = get_character_cell_size(character)
        if width == 0 and cells:
            cells[-1] = (f"{cells[-1][0]}{character}", colours)
        cells += [(character, colours), ("", colours)][:width]
    return cells
