"""`shapebias attribute`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapebias.commands.common import Group, command, say, share_processors
from shapebias.commands.options import DeviceOption, GraphicsOption
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

if TYPE_CHECKING:
    from shapebias.core.attribution.choice import Choice
    from shapebias.core.attribution.explained import AttributionResult

_PICTURE, _ARRAYS = ".png", ".npz"
_TILE = 160  # px


@command(
    group=Group.MEASURE,
    examples=(
        "shapebias attribute demo-s photos/*.jpg --model demo-r --method grad-cam,rise:masks=500 -o maps.png",
        "shapebias attribute alexnet cat.jpg --target 'tiger cat' -o maps.npz",
    ),
)
def attribute(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="The network, written as for `shapebias precompute --model`.")
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Image files, folders of images, or patterns in quotes.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="SPEC", help="Another network, shown below the first. Repeatable."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...|all",
            help="The attribution methods, with settings as NAME:SETTING=VALUE (such as rise:masks=8000). Repeatable.",
            show_default="all but the controls",
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            metavar="predicted|label|CLASS",
            help="Explain what each network decides for, the class that the image's folder is called by, or a class "
            "(its name, WordNet id or number).",
        ),
    ] = "predicted",
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.png|.npz",
            help="Write the picture (.png) or the raw maps (.npz). Repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything that methods draw at random.")] = 0,
    device: DeviceOption = "auto",
    graphics: GraphicsOption = "auto",
) -> None:
    """Show where networks look in a few images: attribution maps side by side."""
    _check_outputs(output or [])
    choices = _choices(method or [])
    share_processors()
    from shapebias.precompute.models.spec import check_sources, parse_specs

    specs = parse_specs([spec, *(model or [])])
    check_sources(specs)
    from shapebias.precompute.attribution.on_files import ExplainTask, explain_files, find_files
    from shapebias.precompute.device import choose_device
    from shapebias.precompute.progress import console_progress
    from shapebias.tui.terminal.query import is_interactive, query_terminal

    terminal = query_terminal() if not output and is_interactive() else None
    kind = None if terminal is None else terminal.choose(graphics)
    task = ExplainTask(files=find_files(images), choices=choices, target=target, seed=seed)
    with console_progress() as progress:
        explained = explain_files(specs, task, choose_device(device, "auto"), progress)
    for note in explained.notes:
        say(note)
    from shapebias.tui.attribute import explained_text, print_maps

    print(explained_text(explained), end="")
    for path in output or []:
        _write(explained, path)
    if terminal is not None and kind is not None:
        print_maps(explained, terminal, kind)


def _check_outputs(paths: list[Path]) -> None:
    """Raise UsageError for a file that could not be written, before minutes are spent on its content."""
    for path in paths:
        if path.suffix.lower() not in (_PICTURE, _ARRAYS):
            raise UsageError(f"-o {printable(str(path))}: write FILE.png for the picture, FILE.npz for the raw maps")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"-o {printable(str(path))}: the folder does not exist: make it first")


def _choices(texts: list[str]) -> "list[Choice]":
    """Return the methods that the values of --method name, the cheapest first; without values, all but the controls.

    Raises UsageError for a method or setting that does not exist.
    """
    from shapebias.core.attribution.choice import parse_choices
    from shapebias.core.attribution.method import REFERENCE_SIDE
    from shapebias.core.attribution.methods import CONTROL

    chosen = list(parse_choices(",".join(texts) if texts else "all"))
    if not texts:
        chosen = [choice for choice in chosen if choice.method.family != CONTROL]
    return sorted(chosen, key=lambda choice: choice.cost(REFERENCE_SIDE).runs)


def _write(explained: "AttributionResult", path: Path) -> None:
    """Write the picture or the raw maps, as the file's extension says, and print its path. Raises CannotWriteError."""
    if path.suffix.lower() == _ARRAYS:
        from shapebias.core.attribution.explained import write_arrays

        write_arrays(path, explained)
        print(f"maps: {printable(str(path))}")
        return
    from shapebias.core.pictures.attribution_sheet import bands, sheet
    from shapebias.tui.show import save_picture

    save_picture(sheet(bands(explained, _TILE, 1 + len(explained.choices))), path)
    print(f"picture: {printable(str(path))}")
