"""The commands that read a store: info, units, show, marks, explore."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from shapebias.cli.common import JsonOption, StoreArgument, app, one_line_errors
from shapebias.core.errors import UsageError
from shapebias.core.text import printable


@app.command(epilog="Example: shapebias info lite0.zarr")
@one_line_errors
def info(store: StoreArgument, as_json: JsonOption = False) -> None:
    """What a store holds: models, layers, images, accuracy."""
    from shapebias.core.describe import store_facts, store_text
    from shapebias.core.opening import open_store

    opened = open_store(store)
    print(json.dumps(store_facts(opened), indent=1) if as_json else store_text(opened))


@app.command(epilog="Example: shapebias units lite0.zarr --layer _blocks.3 --sort selectivity --limit 10")
@one_line_errors
def units(
    store: StoreArgument,
    model: Annotated[str | None, typer.Option(help="Only this model's units.")] = None,
    layer: Annotated[str | None, typer.Option(help="Only this layer's units.")] = None,
    condition: Annotated[
        str | None,
        typer.Option("--filter", metavar="EXPR", help="Only units such as 'max > 2 and top 10% selectivity'."),
    ] = None,
    sort: Annotated[str | None, typer.Option(metavar="METRIC", help="The largest first.")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="The smallest first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, csv or parquet.")] = "table",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to a file.")] = None,
) -> None:
    """The unit table: filtered, sorted, limited, in any format."""
    import numpy as np

    from shapebias.core.export import FORMATS, write_units, write_units_file
    from shapebias.core.filter import filter_mask
    from shapebias.core.opening import open_store
    from shapebias.core.units import load_units

    if form not in FORMATS:
        raise UsageError(f"no --format {printable(form)}: {', '.join(FORMATS)}")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal: name a file with -o")
    opened = open_store(store)
    table = load_units(opened, model, layer)
    if condition is not None:
        table = table.take(np.flatnonzero(filter_mask(condition, table)))
    if sort is not None:
        table = table.take(table.order(sort, ascending))
    if limit is not None:
        table = table.first(limit)
    if output is not None:
        write_units_file(opened, table, form, output)
    else:
        write_units(opened, table, form, sys.stdout, sys.stdout.buffer)


@app.command(epilog="Example: shapebias show lite0.zarr Lite0/_blocks.3/17 -o unit.png")
@one_line_errors
def show(
    store: StoreArgument,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="MODEL/LAYER/INDEX.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the picture to FILE.png.")] = None,
    view: Annotated[str, typer.Option(help="crop, mask or whole.")] = "mask",
    graphics: Annotated[str, typer.Option(help="auto, sixel, kitty, halfcell or none.")] = "auto",
) -> None:
    """One unit: its numbers and its grid of top images, to the terminal or a file."""
    from shapebias.core.opening import open_store
    from shapebias.tui.show import show_unit

    opened = open_store(store)
    show_unit(opened, opened.unit(unit), output, view, graphics)


@app.command(epilog="Example: shapebias marks lite0.zarr -o marked")
@one_line_errors
def marks(
    store: StoreArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Write marks.md and a picture of each unit.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The units marked in the explorer, with their notes."""
    from shapebias.core.marks import Marks
    from shapebias.core.opening import open_store

    opened = open_store(store)
    marked = Marks(opened)
    marked.load()
    if output is not None:
        from shapebias.tui.saving import save_marks

        print(f"marks: {printable(str(save_marks(opened, marked, output)), 4096)}")
        return
    notes = [{"unit": str(unit), "note": marked.note(unit)} for unit in marked.units()]
    if as_json:
        print(json.dumps(notes, indent=1))
    for each in [] if as_json else notes:
        print(f"{each['unit']}  {printable(each['note'], 2000)}".rstrip())


@app.command(epilog="Example: shapebias explore lite0.zarr --unit Lite0/_blocks.3/17")
@one_line_errors
def explore(
    store: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE]...",
            help="The store, or its URL; of several, the models of all.",
            show_default="shapebias.zarr",
        ),
    ] = None,
    unit: Annotated[str | None, typer.Option(metavar="UNIT", help="Start at MODEL/LAYER/INDEX.")] = None,
    graphics: Annotated[str, typer.Option(help="auto, sixel, kitty, halfcell or none.")] = "auto",
    debug_stats: Annotated[bool, typer.Option("--debug-stats", help="Show time and bytes of every move.")] = False,
) -> None:
    """Walk models, layers and units in the terminal, with pictures."""
    from shapebias.core.joined import open_stores

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("explore needs a terminal; in scripts use `shapebias units` or `shapebias show -o FILE.png`")
    opened = open_stores(store or ["shapebias.zarr"])
    start = opened.unit(unit) if unit is not None else None
    from shapebias.tui.app import run_explorer

    run_explorer(opened, start, graphics, debug_stats)
