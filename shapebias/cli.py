"""The commands. Each imports what it needs when it runs: `--help`, `explore` and `units` never load torch."""

import io
import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

import shapebias
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

P = ParamSpec("P")
T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_debug = False

StoreArgument = Annotated[Path, typer.Argument(help="The store, a folder made by `shapebias precompute`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def one_line_errors(command: Callable[P, T]) -> Callable[P, T]:
    """A user's mistake ends a command with one line on stderr and an exit code, not with a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ShapebiasError as error:
            if _debug:
                raise
            print(f"shapebias: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:  # `shapebias units ... | head`
            sys.stderr.close()
            raise typer.Exit(1) from error

    return wrapped


def _print_version(wanted: bool) -> None:
    if wanted:
        print(shapebias.__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Look inside a CNN from a terminal: every unit's activations, statistics and top images."""
    global _debug
    _debug = debug


@app.command(
    epilog="Example: shapebias precompute --model AlexNet=alexnet@alexnet.pth --images photos --store alexnet.zarr"
)
@one_line_errors
def precompute(
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="SPEC",
            help="[LABEL=]SOURCE[@CHECKPOINT]: a torchvision name, FILE.py:FUNCTION, module:FUNCTION or "
            "FILE.safetensors of `shapebias train`. Repeatable.",
        ),
    ],
    images: Annotated[Path, typer.Option(help="A folder of class folders, or of images.")],
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
    """Pass images through networks and store every unit's activations and statistics."""
    from shapebias.precompute.models.spec import parse_specs

    specs = parse_specs(model)
    batch, processes = _count("--batch-size", batch_size, 1), _count("--workers", workers, 0)
    from shapebias.precompute.progress import console_progress
    from shapebias.precompute.run import Settings
    from shapebias.precompute.run import precompute as run

    settings = Settings(specs, images, store, layers, top, limit, batch, device, dtype, processes, seed, overwrite)
    with console_progress() as progress:
        summary = run(settings, progress)
    print(json.dumps(summary.to_json()) if as_json else summary.text())


def _count(option: str, text: str, least: int) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise UsageError(f"{option} {printable(text)}: write auto or a number of at least {least}")
    return int(text)


@app.command("export-images", epilog="Example: shapebias export-images shapes --split probe")
@one_line_errors
def export_images(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    split: Annotated[str, typer.Option(help="train, probe, cue-conflict or all.")] = "all",
    count: Annotated[int | None, typer.Option(min=1, help="Images of a split. Default: 6000, 2000 and 1200.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other images.")] = 0,
) -> None:
    """Write the built-in images, 16 shapes filled with 16 textures, as image folders."""
    from shapebias.precompute.images.export import export_builtin
    from shapebias.precompute.progress import console_progress

    with console_progress() as progress:
        folders = export_builtin(folder, split, count, seed, progress)
    for path, images in folders.items():
        print(f"{images} images in {printable(str(path))}")


@app.command(epilog="Example: shapebias train --data photos --output robust.safetensors --adversarial l2 --epochs 20")
@one_line_errors
def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A folder of class folders.")],
    output: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="Where the weights go.")],
    architecture: Annotated[str, typer.Option(metavar="small|NAME", help="small (64 px), or torchvision's.")] = "small",
    epochs: Annotated[int, typer.Option(min=1, help="Times that every image is learned from.")] = 30,
    batch_size: Annotated[int, typer.Option(min=2, help="Images a step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="The largest: warm-up, then a cosine to 0.")] = 0.1,
    adversarial: Annotated[
        str | None,
        typer.Option(metavar="l2|linf", help="Learn from attacked images (PGD); without it from clean ones."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="The attack's radius, for images in [0, 1]; l2: 3 at 224 px, linf: 4/255.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="The attack's steps (7).")] = None,
    step_size: Annotated[float | None, typer.Option(help="Of the attack (l2: 0.5 for epsilon 3 in 7 steps).")] = None,
    held_out: Annotated[float, typer.Option(help="The fraction of images kept to measure accuracy on.")] = 0.1,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror images at random.")] = False,
    shift: Annotated[int, typer.Option(min=0, help="Move images at random by up to so many px.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="For everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[str, typer.Option(metavar="auto|N", help="Processes that decode images.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE and its checkpoint.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network, standard or adversarially robust; stopped, the same command goes on from its last epoch."""
    if adversarial is None and not (epsilon is None and steps is None and step_size is None):
        raise UsageError("--epsilon, --steps and --step-size are of an attack: add --adversarial l2 or linf")
    processes = _count("--workers", workers, 0)
    from shapebias.precompute.attack import Attack
    from shapebias.precompute.images.folder import list_images
    from shapebias.precompute.models.trained import usual_preprocessing
    from shapebias.precompute.progress import console_progress
    from shapebias.precompute.training import train as run
    from shapebias.precompute.training_settings import TrainingSettings

    size = usual_preprocessing(architecture).geometry.crop
    attack = Attack.usual(adversarial, size, epsilon, 7 if steps is None else steps, step_size) if adversarial else None
    images, skipped = list_images(data)
    settings = TrainingSettings(
        images=images,
        output=output,
        architecture=architecture,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        attack=attack,
        seed=seed,
        device=device,
        workers=processes,
        held_out=held_out,
        flip=flip,
        shift=shift,
        overwrite=overwrite,
    )
    with console_progress() as progress:
        summary = run(settings, progress, lambda epoch: None if as_json else print(epoch, flush=True))
    summary.skipped[:0] = skipped
    print(json.dumps(summary.to_json()) if as_json else summary.text())


@app.command(epilog="Example: shapebias info lite0.zarr")
@one_line_errors
def info(store: StoreArgument, as_json: JsonOption = False) -> None:
    """What a store holds: models, layers, images, accuracy."""
    from shapebias.core.describe import store_facts, store_text
    from shapebias.core.store import open_store

    opened = open_store(store)
    print(json.dumps(store_facts(opened), indent=1) if as_json else store_text(opened))


@app.command(epilog="Example: shapebias units lite0.zarr --layer _blocks.3 --sort selectivity --limit 10")
@one_line_errors
def units(
    store: StoreArgument,
    model: Annotated[str | None, typer.Option(help="Only this model's units.")] = None,
    layer: Annotated[str | None, typer.Option(help="Only this layer's units.")] = None,
    sort: Annotated[str | None, typer.Option(metavar="METRIC", help="The largest first.")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="The smallest first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, csv or parquet.")] = "table",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to a file.")] = None,
) -> None:
    """The unit table: sorted, limited, in any format."""
    from shapebias.core.export import FORMATS, write_units, write_units_file
    from shapebias.core.store import open_store
    from shapebias.core.units import load_units

    if form not in FORMATS:
        raise UsageError(f"no --format {printable(form)}: {', '.join(FORMATS)}")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal: name a file with -o")
    opened = open_store(store)
    table = load_units(opened, model, layer)
    if sort is not None:
        table = table.take(table.order(sort, ascending))
    if limit is not None:
        table = table.first(limit)
    if output is not None:
        write_units_file(opened, table, form, output)
    else:
        write_units(opened, table, form, sys.stdout, sys.stdout.buffer)


@app.command(epilog="Example: shapebias show lite0.zarr Lite0/_blocks.3/17 -o unit.png")
@one_line_errors
def show(
    store: StoreArgument,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="MODEL/LAYER/INDEX.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the picture to FILE.png.")] = None,
    view: Annotated[str, typer.Option(help="crop, mask or whole.")] = "mask",
    graphics: Annotated[str, typer.Option(help="auto, sixel, kitty, halfcell or none.")] = "auto",
) -> None:
    """One unit: its numbers and its grid of top images, to the terminal or a file."""
    from shapebias.core.store import open_store
    from shapebias.tui.show import show_unit

    opened = open_store(store)
    show_unit(opened, opened.unit(unit), output, view, graphics)


@app.command(epilog="Example: shapebias explore lite0.zarr --unit Lite0/_blocks.3/17")
@one_line_errors
def explore(
    store: Annotated[Path, typer.Argument(help="The store.")] = Path("shapebias.zarr"),
    unit: Annotated[str | None, typer.Option(metavar="UNIT", help="Start at MODEL/LAYER/INDEX.")] = None,
    graphics: Annotated[str, typer.Option(help="auto, sixel, kitty, halfcell or none.")] = "auto",
) -> None:
    """Walk models, layers and units in the terminal, with pictures."""
    from shapebias.core.store import open_store

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("explore needs a terminal; in scripts use `shapebias units` or `shapebias show -o FILE.png`")
    opened = open_store(store)
    start = opened.unit(unit) if unit is not None else None
    from shapebias.tui.app import run_explorer

    run_explorer(opened, start, graphics)


@app.command(epilog="Example: shapebias doctor")
@one_line_errors
def doctor(as_json: JsonOption = False) -> None:
    """What this machine and terminal can do, and how to get what is missing."""
    from shapebias.doctor import diagnose, diagnosis_text

    facts = diagnose()
    print(json.dumps(facts, indent=1) if as_json else diagnosis_text(facts))


def main(*arguments: Any) -> None:
    """The `shapebias` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal shows what it can
    app(*arguments, prog_name="shapebias")
