"""`shapebias report`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import command
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_FORMATS = ("html", "md")


@command(example="shapebias report pair.zarr --pair S,R -o report.html")
def report(
    stores: Annotated[list[str], typer.Argument(metavar="STORE...", help="Stores, several joined to one.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the page goes.")],
    pair: Annotated[
        str | None,
        typer.Option(metavar="S,R", help="Two models to put beside each other.", show_default="the first two"),
    ] = None,
    light: Annotated[bool, typer.Option("--light", help="Fewer and smaller pictures: below 3 MB.")] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="html|md",
            help="One HTML file, or Markdown with pictures in a folder beside it.",
            show_default="md for FILE.md, else html",
        ),
    ] = None,
) -> None:
    """A store as a page to send: what was measured, findings with their figures, units with their images, tables."""
    form = form or ("md" if output.suffix.lower() == ".md" else "html")
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: {', '.join(_FORMATS)}")
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
