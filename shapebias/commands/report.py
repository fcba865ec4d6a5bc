"""`shapebias report`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_FORMATS = ("html", "md")


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias report pair.zarr --pair S,R -o report.html",
        "shapebias report s.zarr r.zarr -o report.md --light",
    ),
)
def report(
    stores: Annotated[
        list[str], typer.Argument(metavar="STORE...", help="The store, or several to be joined to one; paths or URLs.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write the page to.")],
    pair: Annotated[
        str | None,
        typer.Option(
            metavar="S,R", help="Put these two models beside each other.", show_default="the first two of the store"
        ),
    ] = None,
    light: Annotated[bool, typer.Option("--light", help="Show fewer and smaller pictures of units.")] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="html|md",
            help="Write one HTML file, or Markdown with pictures in a folder beside it.",
            show_default="md for FILE.md, else html",
        ),
    ] = None,
) -> None:
    """Write a page to send: what was measured, findings with figures, units with their images, tables."""
    form = form or ("md" if output.suffix.lower() == ".md" else "html")
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: there are {', '.join(_FORMATS)}")
    if output.is_dir():
        raise UsageError(f"{printable(str(output))} is a folder: name a file, such as report.html")
    from shapebias.core.figures.output import check_matplotlib

    check_matplotlib()
    from shapebias.core.files import write_atomically
    from shapebias.core.report.markdown import write_markdown
    from shapebias.core.report.page import html_of
    from shapebias.core.report.report import report_of
    from shapebias.core.report.scope import scope_of
    from shapebias.core.store.joined import open_stores

    made = report_of(scope_of(open_stores(stores), pair, light))
    words = ["shapebias", "report", *stores, *(["--pair", pair] if pair else []), *(["--light"] if light else [])]
    command_line = shlex.join([*words, "-o", str(output)])
    if form == "md":
        write_markdown(made, output, printable(command_line, 4096))
    else:
        write_atomically(output, html_of(made, printable(command_line, 4096)).encode("utf-8"))
    print(printable(str(output)))
