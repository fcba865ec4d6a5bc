"""`shapebias units`."""

import sys
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import OnlyLayerOption, OnlyModelOption, OutputOption, StoreArgument
from shapebias.core.errors import UsageError
from shapebias.core.text import printable


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias units lite0.zarr --layer _blocks.3 --sort selectivity --limit 10",
        "shapebias units lite0.zarr --filter 'smoothness > 0.8 and sparsity < 0.5' --format csv -o smooth.csv",
    ),
)
def units(
    store: StoreArgument,
    model: OnlyModelOption = None,
    layer: OnlyLayerOption = None,
    condition: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="EXPR",
            help="Keep only the units that fulfil this, such as 'max > 2 and top 10% selectivity'; "
            "@NAME is a filter that was saved in the explorer.",
        ),
    ] = None,
    sort: Annotated[str | None, typer.Option(metavar="METRIC", help="Sort by this metric, the largest first.")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="With --sort: the smallest first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Show only the first units, at most this many.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="table|json|csv|parquet", help="The format of the output.")
    ] = "table",
    output: OutputOption = None,
) -> None:
    """Print or export the table of units, filtered and sorted."""
    from shapebias.core.store.opening import open_store
    from shapebias.core.units.export import FORMATS, write_units, write_units_file
    from shapebias.core.units.filter import select_units
    from shapebias.core.units.saved_filters import saved_filters
    from shapebias.core.units.table import load_units

    if form not in FORMATS:
        raise UsageError(f"no --format {printable(form)}: there are {', '.join(FORMATS)}")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet cannot be shown in a terminal: name a file with -o")
    if ascending and sort is None:
        raise UsageError("--ascending is for the order of --sort METRIC: name a metric")
    opened = open_store(store)
    saved = saved_filters() if "@" in (condition or "") else None
    table = select_units(load_units(opened, model, layer), condition, sort, ascending, saved=saved)
    if limit is not None:
        table = table.first(limit)
    if output is not None:
        write_units_file(opened, table, form, output)
    else:
        write_units(opened, table, form, sys.stdout, sys.stdout.buffer)
