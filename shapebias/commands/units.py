"""`shapebias units`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import StoreArgument, command
from shapebias.core.errors import UsageError
from shapebias.core.text import printable


@command(example="shapebias units lite0.zarr --layer _blocks.3 --sort selectivity --limit 10")
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
    from shapebias.core.store.opening import open_store
    from shapebias.core.units.export import FORMATS, write_units, write_units_file
    from shapebias.core.units.filter import select_units
    from shapebias.core.units.table import load_units

    if form not in FORMATS:
        raise UsageError(f"no --format {printable(form)}: {', '.join(FORMATS)}")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal: name a file with -o")
    opened = open_store(store)
    table = select_units(load_units(opened, model, layer), condition, sort, ascending)
    if limit is not None:
        table = table.first(limit)
    if output is not None:
        write_units_file(opened, table, form, output)
    else:
        write_units(opened, table, form, sys.stdout, sys.stdout.buffer)
