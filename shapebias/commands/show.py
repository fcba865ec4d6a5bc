"""`shapebias show`."""

from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import GraphicsOption, StoreArgument, UnitArgument


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias show lite0.zarr Lite0/_blocks.3/17 -o unit.png",
        "shapebias show lite0.zarr Lite0/_blocks.3/17 --view crop",
    ),
)
def show(
    store: StoreArgument,
    unit: UnitArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE.png", help="Write the picture to this PNG file instead of the terminal."
        ),
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            metavar="crop|mask|whole",
            help="How much of each image to show: only the part where the unit fires most (crop), all of it but "
            "darkened where the unit does not fire (mask), or all of it (whole).",
        ),
    ] = "mask",
    graphics: GraphicsOption = "auto",
) -> None:
    """Show one unit: its numbers and the grid of its top images."""
    from shapebias.core.store.opening import open_store
    from shapebias.tui.show import show_unit

    opened = open_store(store)
    show_unit(opened, opened.unit(unit), output, view, graphics)
