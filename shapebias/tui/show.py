"""`shapebias show`: one unit's numbers and pictures, printed to the terminal or saved as a PNG file."""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from shapebias.core.errors import UsageError
from shapebias.core.files import cannot_write
from shapebias.core.metrics import METRICS
from shapebias.core.pictures.sixel import MAX_SIDE, encode_tiles
from shapebias.core.pictures.tiles import View, compose, unit_tiles
from shapebias.core.store.concepts import unit_concepts
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.pictures.layout import GAP
from shapebias.tui.pictures.textual_image import library_picture
from shapebias.tui.terminal.query import Graphics, Terminal, is_interactive, query_terminal

_TILE = 128
_COLUMNS = 5
_LISTED = 10


def show_unit(store: Store, unit: Unit, output: Path | None, view: str, graphics: str) -> None:
    """Print a unit and, to a terminal with graphics or into the PNG file `output`, its grid of top images.

    Raises UsageError for an unknown view or graphics, ShapebiasError where the file cannot be written.
    """
    try:
        chosen = View(view)
    except ValueError:
        raise UsageError(f"no --view {printable(view)}: {', '.join(View)}") from None
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
    """Return the unit's metrics and its strongest images, with one line for each."""
    lines = [str(unit)]
    for name in store.metric_names(unit.model, unit.layer):
        metric = METRICS[name]
        value = float(store.metric(unit.model, unit.layer, name)[unit.index])
        lines.append(f"  {metric.title:12} {metric.format(value):>9}   {metric.low} … {metric.high}")
    concept, category = (texts[unit.index] for texts in unit_concepts(store, unit.model, unit.layer))
    if concept:
        lines.append(f"  concept      {printable(concept, 60)} ({printable(category, 24)})")
    top = store.top(unit)
    lines.append("  strongest images (value, position y, x)")
    for rank in range(min(_LISTED, len(top.image))):
        y, x = top.position[rank].tolist()
        path = printable(store.image_name(int(top.image[rank])), 70)
        lines.append(f"  {top.value[rank]:12.4f} {f'{y}, {x}':>9}   {path}")
    return "\n".join(lines)


def unit_picture(store: Store, unit: Unit, view: View, tile: int = 2 * _TILE) -> Image.Image:
    """Return all top images as a grid with captions: the value, and the class, or the file's name without one."""
    top = store.top(unit)
    tiles = unit_tiles(store, unit, len(top.image), tile, view)
    captions = []
    for rank in range(len(tiles)):
        image = int(top.image[rank])
        name = store.class_of(image) or Path(store.image_name(image)).name
        captions.append(f"{top.value[rank]:.3g} {printable(name, 60)}")
    return compose(tiles, _COLUMNS, max(1, -(-len(tiles) // _COLUMNS)), tile, captions=captions)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG file. Raises UsageError where its name says otherwise, ShapebiasError where it cannot be written."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{printable(str(path))}: the picture is a PNG file, so its name must end in .png")
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    try:
        path.write_bytes(encoded.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from error


def _print_picture(store: Store, unit: Unit, view: View, kind: Graphics, terminal: Terminal) -> None:
    """Print the strongest images, in as many columns as the terminal is wide."""
    width = shutil.get_terminal_size().columns
    tile = width // _COLUMNS - 1 if kind is Graphics.HALFCELL else _TILE
    pixels = width if kind is Graphics.HALFCELL else min(width * terminal.cell_width, MAX_SIDE)
    columns = max(1, min(_COLUMNS + 1, pixels // (tile + GAP)))
    tiles = unit_tiles(store, unit, 4 * columns, tile, view)
    rows = [compose(tiles[first : first + columns], columns, 1, tile) for first in range(0, len(tiles), columns)]
    if kind is Graphics.SIXEL:
        for row in rows:
            sys.stdout.buffer.write(encode_tiles(np.asarray(row)[None], colours=64)[0] + b"\n")
        sys.stdout.buffer.flush()
        return
    from rich.console import Console

    for row in rows:
        Console().print(library_picture(row, kind, (terminal.cell_width, terminal.cell_height)))
