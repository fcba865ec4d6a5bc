"""`shapebias export-images`."""

from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.core.text import printable


@command(
    group=Group.MAINTENANCE,
    examples=(
        "shapebias export-images shapes",
        "shapebias export-images shapes --split probe --count 200",
    ),
)
def export_images(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write into; it must be new or empty.")],
    split: Annotated[
        str, typer.Option(metavar="train|probe|cue-conflict|all", help="Which of the built-in sets of images to write.")
    ] = "all",
    count: Annotated[
        int | None, typer.Option(min=1, help="The number of images of each set.", show_default="6000, 2000 and 1200")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed that images are generated with.")] = 0,
    broden: Annotated[
        bool, typer.Option("--broden", help="Write annotations too, in the layout of Network Dissection's Broden.")
    ] = False,
) -> None:
    """Write the built-in images, 16 shapes filled with 16 textures, as image folders."""
    from shapebias.precompute.images.builtin.export import export_builtin
    from shapebias.precompute.progress import console_progress

    with console_progress() as progress:
        folders = export_builtin(folder, split, count, seed, progress, broden=broden)
    for path, images in folders.items():
        print(f"{images} images in {printable(str(path))}")
