"""`shapebias export-images`."""

from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import command
from shapebias.core.text import printable


@command(example="shapebias export-images shapes --split probe")
def export_images(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    split: Annotated[str, typer.Option(help="train, probe, cue-conflict or all.")] = "all",
    count: Annotated[int | None, typer.Option(min=1, help="Images of a split. Default: 6000, 2000 and 1200.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other images.")] = 0,
    broden: Annotated[
        bool, typer.Option("--broden", help="With annotation, in the layout of Network Dissection's Broden.")
    ] = False,
) -> None:
    """Write the built-in images, 16 shapes filled with 16 textures, as image folders."""
    from shapebias.precompute.images.builtin.export import export_builtin
    from shapebias.precompute.progress import console_progress

    with console_progress() as progress:
        folders = export_builtin(folder, split, count, seed, progress, broden=broden)
    for path, images in folders.items():
        print(f"{images} images in {printable(str(path))}")
