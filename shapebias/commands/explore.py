"""`shapebias explore`."""

import os
import sys
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import GraphicsOption
from shapebias.core.errors import UsageError


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias explore lite0.zarr --unit Lite0/_blocks.3/17",
        "shapebias explore standard.zarr robust.zarr",
    ),
)
def explore(
    store: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE]...",
            help="The store to explore, or its URL; the models of several stores are shown together.",
            show_default="shapebias.zarr",
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT", help="Start at this unit, MODEL/LAYER/INDEX, or LAYER/INDEX where there is one model."
        ),
    ] = None,
    graphics: GraphicsOption = "auto",
    debug_stats: Annotated[
        bool, typer.Option("--debug-stats", help="Show the time and the bytes that every key took.")
    ] = False,
) -> None:
    """Walk through models, layers and units in the terminal, with pictures."""
    from shapebias.core.store.joined import open_stores

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("explore needs a terminal; in scripts use `shapebias units` or `shapebias show -o FILE.png`")
    if os.environ.get("TERM", "") in ("", "dumb"):
        kind = os.environ.get("TERM") or "nothing"
        raise UsageError(
            f"the explorer cannot draw on this terminal (TERM is {kind}): set TERM, or use another terminal"
        )
    opened = open_stores(store or ["shapebias.zarr"])
    start = opened.unit(unit) if unit is not None else None
    from shapebias.tui.app import run_explorer

    run_explorer(opened, start, graphics, debug_stats)
