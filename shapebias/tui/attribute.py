"""The output of `shapebias attribute` in the terminal: a table of what was explained, and the maps as pictures."""

import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shapebias.core.attribution.explained import AttributionResult
from shapebias.core.pictures.attribution_sheet import Band, Tile, bands, label_height, labelled
from shapebias.core.text import aligned, cell_width, padded, printable
from shapebias.tui.pictures.budget import best_limit
from shapebias.tui.pictures.cells import CELL, cell_rows
from shapebias.tui.pictures.layout import GAP, GridLayout
from shapebias.tui.pictures.painter import Painter
from shapebias.tui.pictures.painters import new_painter
from shapebias.tui.show import painted_below, print_tiles
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal

_TILE = 128  # px
_SMALL = 20  # columns and half lines of a picture in a terminal without graphics: the longest short title fits
_COLOURS = (
    "Vermillion is evidence for the class, blue against it.\nUnsigned maps go from red (little) to yellow (most)."
)


def explained_text(explained: AttributionResult) -> str:
    """Return a table with a row for each image and model: the explained class, its probability, and the completeness
    gap of each method that has one.
    """
    titles = {choice.name: choice.method.title for choice in explained.choices}
    with_gap = [name for name in titles if any(not math.isnan(image.maps[name].gap) for image in explained.images)]
    rows = [["image", "model", "class", "probability", *(f"gap of {titles[name]}" for name in with_gap)]]
    for images in explained.by_image():
        for image in images:
            gaps = [image.maps[name].gap for name in with_gap]
            facts = [image.model, printable(image.output_name, 40), f"{image.probability:.1%}"]
            rows.append(
                [printable(str(image.image), 60), *facts, *("" if math.isnan(gap) else f"{gap:.2%}" for gap in gaps)]
            )
    return aligned(rows, left=3)


def print_maps(explained: AttributionResult, terminal: Terminal, kind: Graphics) -> None:
    """Print the maps of every image, as many side by side as fit into the terminal; print nothing without graphics."""
    if kind is Graphics.NONE:
        return
    width, painter = shutil.get_terminal_size().columns, new_painter(kind, terminal)
    print(_COLOURS)
    if painter is None:
        columns = min(_SMALL, (width - 1) // 2 * 2)
        for band in bands(explained, columns * CELL[0], max(1, width // (columns + 1))):
            _print_cells(band, terminal)
        return
    cell = (terminal.cell_width, terminal.cell_height)
    cell_columns, cell_rows = (
        -(-(side + GAP) // of) for side, of in zip((_TILE, _TILE + label_height(_TILE)), cell, strict=True)
    )
    for band in bands(explained, _TILE, max(1, width // cell_columns)):
        layout = GridLayout(len(band.rows[0]), len(band.rows), cell_columns, cell_rows, _TILE, cell)
        print(band.title, flush=True)
        sys.stdout.write(_painted(band, layout, painter))


def _painted(band: Band, layout: GridLayout, painter: Painter) -> str:
    """Return the control sequences that paint the labelled tiles of a band, and put the cursor below them."""
    columns, rows = layout.cell_columns, layout.cell_rows
    width, height = columns * layout.cell[0], rows * layout.cell[1]
    tiles = np.stack([np.asarray(labelled(tile, height, width)) for row in band.rows for tile in row])
    pieces = painter.encode(tiles, layout, best_limit(layout), map)
    return painted_below([replace(piece, columns=columns, rows=rows) for piece in pieces], rows, painter)


def _print_cells(band: Band, terminal: Terminal) -> None:
    """Print a band in cells of text, each row of tiles above lines with their labels."""
    print(band.title)
    for row in band.rows:
        print_tiles([cell_rows(tile.picture, terminal.colours) for tile in row])
        print(_label_lines(row, row[0].picture.width // CELL[0]))


def _label_lines(row: Sequence[Tile], width: int) -> str:
    """Return the text below a row of tiles that are `width` cells wide: each tile's name and other labels below it."""
    labels = [[tile.name, *filter(None, tile.more)] for tile in row]
    lines = [[label[line] if line < len(label) else "" for label in labels] for line in range(max(map(len, labels)))]
    return "\n".join(" ".join(padded(_cut(text, width), width) for text in line).rstrip() for line in lines)


def _cut(text: str, width: int) -> str:
    return text if cell_width(text) <= width else printable(text, width)
