"""`shapebias attribution`."""

import json
import sys
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import OnlyModelOption, OutputOption, StoreArgument
from shapebias.core.errors import UsageError
from shapebias.core.files import write_text
from shapebias.core.text import printable

_FORMATS = ("table", "json", "csv")


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias attribution pair.zarr",
        "shapebias attribution pair.zarr --format csv -o scores.csv",
    ),
)
def attribution(
    store: StoreArgument,
    model: OnlyModelOption = None,
    form: Annotated[
        str, typer.Option("--format", metavar="|".join(_FORMATS), help="The format of the output.")
    ] = "table",
    output: OutputOption = None,
) -> None:
    """Score how well attribution maps explain each model: insertion, pointing, mass and others."""
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: there are {', '.join(_FORMATS)}")
    from shapebias.core.analysis.explainability import explained, explained_csv, explained_text
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    if model is not None:
        opened.check_model(model)
    rows = explained(opened, None if model is None else [model])
    if form == "json":
        text = json.dumps([row.to_record() for row in rows], indent=1) + "\n"
    else:
        text = explained_csv(rows) if form == "csv" else explained_text(rows)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
