"""`shapebias explore`."""

import os
import sys
from typing import Annotated

import typer

from shapebias.commands.common import command
from shapebias.core.errors import UsageError


@command(example="shapebias explore lite0.zarr --unit Lite0/_blocks.3/17")
def explore(
    store: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE]...",
            help="The store, or its URL; of several, the models of all.",
            show_default="shapebias.zarr",
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(metavar="UNIT", help="Start at MODEL/LAYER/INDEX; in a store of one model at LAYER/INDEX."),
    ] = None,
    graphics: Annotated[str, typer.Option(help="auto, sixel, kitty, iterm2, halfcell or none.")] = "auto",
    debug_stats: Annotated[bool, typer.Option("--debug-stats", help="Show time and bytes of every move.")] = False,
) -> None:
    """Walk models, layers and units in the terminal, with pictures."""
    from shapebias.core.store.joined import open_stores

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("explore needs a terminal; in scripts use `shapebias units` or `shapebias show -o FILE.png`")
    if os.environ.get("TERM", "") in ("", "dumb"):
        kind = os.environ.get("TERM") or "nothing"
        raise UsageError(
            f"this terminal says that it cannot be drawn on (TERM is {kind}); set TERM, or begin in another"
        )
    opened = open_stores(store or ["shapebias.zarr"])
    start = opened.unit(unit) if unit is not None else None
    from shapebias.tui.app import run_explorer

    run_explorer(opened, start, graphics, debug_stats)
