"""`shapebias train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapebias.commands.common import Group, command, count
from shapebias.commands.options import DeviceOption, JsonOption, LabelsOption, WorkersOption
from shapebias.core.errors import UsageError

if TYPE_CHECKING:
    from shapebias.precompute.training.settings import Epoch


@command(
    group=Group.NETWORKS,
    examples=(
        "shapebias train --data photos --output standard.safetensors --epochs 20",
        "shapebias train --data photos --output robust.safetensors --adversarial l2 --epochs 20",
    ),
)
def train(
    data: Annotated[
        str,
        typer.Option(
            metavar="IMAGES", help="The labelled images to learn from, written as for `shapebias precompute --images`."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="The file to write the weights to.")],
    labels: LabelsOption = None,
    architecture: Annotated[
        str,
        typer.Option(
            metavar="small|photo|NAME",
            help="The architecture: small, for images of 64 px; photo, for images of 32 px; or the name of one of "
            "torchvision's classifiers.",
        ),
    ] = "small",
    epochs: Annotated[int, typer.Option(min=1, help="How often every image is learned from.")] = 30,
    batch_size: Annotated[int, typer.Option(min=2, help="The number of images of each step.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(help="The largest learning rate: it warms up to this and then falls to 0 as a cosine.")
    ] = 0.1,
    adversarial: Annotated[
        str | None,
        typer.Option(metavar="l2|linf", help="Learn from attacked images (PGD in this norm) instead of clean ones."),
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|N/255",
            help="The radius of the attack, for pixels in [0, 1].",
            show_default="l2: 3 for 224 px; linf: 4/255",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="The number of steps of the attack.", show_default="7")] = None,
    step_size: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|N/255",
            help="The length of one step of the attack, in the same norm and unit as --epsilon.",
            show_default="l2: 0.5 for epsilon 3 in 7 steps",
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            help="The fraction of images that is not learned from: accuracy is measured on at most 1000 of them."
        ),
    ] = 0.1,
    flip: Annotated[
        bool, typer.Option("--flip", help="Mirror every image left to right with a chance of one half.")
    ] = False,
    shift: Annotated[int, typer.Option(min=0, help="Move every image at random by up to this many pixels.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of everything random.")] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...", help="Train one network for each of these seeds N, into files whose names end with -N."
        ),
    ] = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|highest|tf32|bf16",
            help="The precision of networks: highest is float32 throughout, tf32 a GPU's faster multiplication; auto "
            "is bf16 on a GPU, else highest; bf16 is twice as fast on CPUs that have it.",
        ),
    ] = "auto",
    workers: WorkersOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file and its checkpoint.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network, standard or adversarially robust.

    Where a run was stopped, the same command goes on from its last epoch.
    """
    if adversarial is None and not (epsilon is None and steps is None and step_size is None):
        raise UsageError("--epsilon, --steps and --step-size need an attack: add --adversarial l2 or linf")
    processes = count("--workers", workers, 0)
    if seeds is not None and seed:
        raise UsageError("--seed trains one network, --seeds several: give only one of them")
    from shapebias.precompute.attacks.attack import Attack, parse_length
    from shapebias.precompute.images.sources.find import find_images
    from shapebias.precompute.models.trained import usual_preprocessing
    from shapebias.precompute.progress import console_progress
    from shapebias.precompute.training.family import parse_seeds, train_family
    from shapebias.precompute.training.loop import train as run
    from shapebias.precompute.training.settings import TrainingSettings

    size = usual_preprocessing(architecture).geometry.crop
    try:
        radius, step = (None if text is None else parse_length(text) for text in (epsilon, step_size))
    except ValueError:
        raise UsageError("--epsilon and --step-size are numbers, such as 0.5 or 4/255") from None
    attack = Attack.usual(adversarial, size, radius, 7 if steps is None else steps, step) if adversarial else None
    with console_progress() as progress:
        images, skipped = find_images(data, labels=labels, progress=progress)
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
        precision=precision,
        workers=processes,
        held_out=held_out,
        flip=flip,
        shift=shift,
        overwrite=overwrite,
    )
    chosen = None if seeds is None else parse_seeds(seeds)

    def say(epoch: "Epoch") -> None:
        if not as_json:
            print(epoch, flush=True)

    summaries = []
    with console_progress() as progress:
        made = [run(settings, progress, say)] if chosen is None else train_family(settings, chosen, progress, say)
        for summary in made:
            summary.skipped[:0] = skipped
            summaries.append(summary)
            if not as_json:
                print(summary.text(), flush=True)
    if as_json:
        records = [summary.to_json() for summary in summaries]
        print(json.dumps(records[0] if chosen is None else {"networks": records}))
