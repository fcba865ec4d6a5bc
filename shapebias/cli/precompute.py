"""`shapebias precompute`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from shapebias.cli.common import JsonOption, app, count, one_line_errors
from shapebias.core.errors import UsageError
from shapebias.core.text import printable


@app.command(
    epilog="Example: shapebias precompute --model AlexNet=alexnet@alexnet.pth --images photos --store alexnet.zarr"
)
@one_line_errors
def precompute(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="SPEC",
            help="[LABEL=]SOURCE[@CHECKPOINT]: a torchvision name, FILE.py:FUNCTION, module:FUNCTION, "
            "FILE.safetensors of `shapebias train`, or the built-in demo-s and demo-r. Repeatable.",
            show_default="demo-s demo-r",
        ),
    ] = None,
    images: Annotated[
        str, typer.Option(metavar="DIR|builtin:SPLIT", help="A folder of class folders, or of images.")
    ] = "builtin:probe",
    store: Annotated[Path, typer.Option(help="Where the store goes.")] = Path("shapebias.zarr"),
    layers: Annotated[
        str,
        typer.Option(help="`paper` (else the top-level blocks), `all` convolutions, or names and globs: conv1,layer*."),
    ] = "paper",
    top: Annotated[int, typer.Option(min=1, max=1000, help="Images kept for every unit.")] = 25,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only so many images, evenly spread.")] = None,
    batch_size: Annotated[str, typer.Option(metavar="auto|N", help="Images a forward.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16 (autocast).")] = "auto",
    workers: Annotated[str, typer.Option(metavar="auto|N", help="Processes that decode images.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="For everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pass images through networks and store every unit's activations and statistics.

    Without --model and --images: a standard and a robust network that come with the program, on images that it draws.
    """
    from shapebias.precompute.models.spec import PAIR, parse_specs

    if not model and not images.startswith("builtin:"):
        raise UsageError(f"name a network for {printable(images)} with --model, such as --model alexnet")
    specs = parse_specs(model or list(PAIR))
    batch, processes = count("--batch-size", batch_size, 1), count("--workers", workers, 0)
    from shapebias.precompute.progress import console_progress
    from shapebias.precompute.run import Settings
    from shapebias.precompute.run import precompute as run

    settings = Settings(specs, images, store, layers, top, limit, batch, device, dtype, processes, seed, overwrite)
    with console_progress() as progress:
        summary = run(settings, progress)
    print(json.dumps(summary.to_json()) if as_json else summary.text())
