"""`shapebias marks`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption, StoreArgument
from shapebias.core.errors import UsageError
from shapebias.core.text import printable


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias marks lite0.zarr",
        "shapebias marks lite0.zarr -o marked",
    ),
)
def marks(
    store: StoreArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Write marks.md and a picture of each unit into this folder."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the units that were marked in the explorer, with their notes."""
    from shapebias.core.store.opening import open_store
    from shapebias.core.units.marks import Marks

    if output is not None and as_json:
        raise UsageError("--output writes Markdown and pictures: use --json without it")
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
        return
    for mark in notes:
        print(f"{mark['unit']}  {printable(mark['note'], 2000)}".rstrip())
