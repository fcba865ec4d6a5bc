"""`shapebias show`: one unit's numbers and pictures, printed to the terminal or saved as a PNG file."""

import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.segment import Segment, Segments

from shapebias.core.errors import UsageError
from shapebias.core.files import cannot_write
from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text
from shapebias.core.pictures.tiles import View, parse_view
from shapebias.core.pictures.unit_picture import unit_picture
from shapebias.core.store.concepts import unit_concepts
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.pictures.budget import best_limit
from shapebias.tui.pictures.cells import CELL
from shapebias.tui.pictures.layout import GAP, GridLayout
from shapebias.tui.pictures.maker import Request, make_picture
from shapebias.tui.pictures.painter import Painter, Piece
from shapebias.tui.pictures.painters import new_painter
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal, is_interactive, query_terminal

_TILE = 128  # px
_SMALL = 20  # columns of a tile, in terminals without graphics
_COLUMNS = 5
_ROWS = 4
_LISTED = 10


def show_unit(store: Store, unit: Unit, output: Path | None, view: str, graphics: str) -> None:
    """Print a unit and its grid of top images: the grid only to a terminal with graphics, or into the file `output`.

    Raises UsageError for an unknown view, for unknown graphics on a terminal, or where `output` does not end in .png;
    ShapebiasError where the store cannot be read or the file cannot be written.
    """
    chosen = parse_view(view)
    terminal = query_terminal() if output is None and is_interactive() else None
    kind = terminal.choose(graphics) if terminal is not None else Graphics.NONE
    print(unit_text(store, unit))
    if output is not None:
        save_picture(unit_picture(store, unit, chosen), output)
        print(f"picture: {printable(str(output))}")
    elif terminal is not None and kind is not Graphics.NONE:
        sys.stdout.flush()
        _print_picture(store, unit, chosen, kind, terminal)


def unit_text(store: Store, unit: Unit) -> str:
    """Return the unit's name, metrics, concept and ten strongest images, a line for each. Raises StoreError."""
    lines = [str(unit)]
    for name in store.metric_names(unit.model, unit.layer):
        metric = METRICS[name]
        value = float(store.metric(unit.model, unit.layer, name)[unit.index])
        lines.append(f"  {metric.title:12} {number_text(value):>9}   {metric.low} … {metric.high}")
    concept, category = (texts[unit.index] for texts in unit_concepts(store, unit.model, unit.layer))
    if concept:
        lines.append(f"  concept      {printable(concept, 60)} ({printable(category, 24)})")
    top = store.top(unit)
    lines.append("  strongest images (value, position y, x)")
    for rank in range(min(_LISTED, len(top.image))):
        y, x = top.position[rank].tolist()
        path = printable(store.image_name(int(top.image[rank])), 70)
        lines.append(f"  {number_text(float(top.value[rank])):>12} {f'{y}, {x}':>9}   {path}")
    return "\n".join(lines)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG file. Raises UsageError where `path` does not end in .png, ShapebiasError where writing fails."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{printable(str(path))}: the picture is a PNG file, so its name must end in .png")
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    try:
        path.write_bytes(encoded.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from error


def _print_picture(store: Store, unit: Unit, view: View, kind: Graphics, terminal: Terminal) -> None:
    """Print the strongest images, at most 4 rows of as many columns as the terminal has room for, at most 6."""
    width, painter = shutil.get_terminal_size().columns, new_painter(kind, terminal)
    cell = (terminal.cell_width, terminal.cell_height) if painter is not None else CELL
    tile, gap = (_TILE, GAP) if painter is not None else (_SMALL * CELL[0], CELL[0])
    cell_columns, cell_rows = (-(-(tile + gap) // side) for side in cell)
    columns = max(1, min(_COLUMNS + 1, width // cell_columns))
    layout = GridLayout(columns, _ROWS, cell_columns, cell_rows, tile, cell)
    limit = best_limit(layout) if painter is not None else None
    picture = make_picture(store, Request(unit, view, layout, limit, colours=terminal.colours), painter)
    if painter is not None:
        sys.stdout.write(painted_below(picture.pieces, cell_rows, painter))
    for first in range(0, len(picture.cells), columns):
        print_tiles(picture.cells[first : first + columns])
        print()


def print_tiles(tiles: Sequence[list[list[Segment]]]) -> None:
    """Print pictures in cells of text beside each other, with a blank between them."""
    lines = [
        Segments([*(cell for row in rows for cell in [*row, Segment(" ")]), Segment.line()])
        for rows in zip(*tiles, strict=True)
    ]
    Console().print(*lines, sep="", end="")


def painted_below(pieces: Iterable[Piece], rows: int, painter: Painter) -> str:
    """Return the control sequences that paint a picture's pieces row by row from the cursor's line, each row `rows`
    cells below the last, and put the cursor below.
    """
    by_row = groupby(pieces, key=lambda piece: piece.y)
    return "".join(_painted(row, rows, painter) for _, row in by_row)


def _painted(pieces: Iterable[Piece], rows: int, painter: Painter) -> str:
    """Return the control sequences that paint pieces of one row from the cursor's line on, and put the cursor below."""
    text = "\n" * rows + f"\x1b[{rows}A"
    for piece in pieces:
        right = f"\x1b[{piece.x}C" if piece.x else ""
        text += f"\x1b7{right}{painter.paint(piece, piece.x, piece.y, None)}\x1b8"
    return f"{text}\x1b[{rows}B"
