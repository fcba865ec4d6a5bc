"""`shapebias show`."""

from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import StoreArgument, command


@command(example="shapebias show lite0.zarr Lite0/_blocks.3/17 -o unit.png")
def show(
    store: StoreArgument,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="MODEL/LAYER/INDEX.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the picture to FILE.png.")] = None,
    view: Annotated[str, typer.Option(help="crop, mask or whole.")] = "mask",
    graphics: Annotated[str, typer.Option(help="auto, sixel, kitty, iterm2, halfcell or none.")] = "auto",
) -> None:
    """One unit: its numbers and its grid of top images, to the terminal or a file."""
    from shapebias.core.store.opening import open_store
    from shapebias.tui.show import show_unit

    opened = open_store(store)
    show_unit(opened, opened.unit(unit), output, view, graphics)
