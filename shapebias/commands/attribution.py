"""`shapebias attribution`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import StoreArgument, command
from shapebias.core.errors import UsageError
from shapebias.core.files import write_text
from shapebias.core.text import printable

_FORMATS = ("table", "json", "csv")


@command(example="shapebias attribution pair.zarr --format csv -o scores.csv")
def attribution(
    store: StoreArgument,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="|".join(_FORMATS), help="How it is printed.")] = "table",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to a file.")] = None,
) -> None:
    """How well attribution maps explain each model: insertion, deletion, pointing, localisation, mass on the object."""
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: {', '.join(_FORMATS)}")
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
