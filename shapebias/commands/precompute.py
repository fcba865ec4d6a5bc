"""`shapebias precompute`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import JsonOption, LabelsOption, command, count, share_processors
from shapebias.core.errors import UsageError
from shapebias.core.remote import local_path
from shapebias.core.text import printable


@command(example="shapebias precompute --model AlexNet=alexnet@alexnet.pth --images photos --store alexnet.zarr")
def precompute(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="SPEC",
            help=r"\[LABEL=]SOURCE\[@CHECKPOINT]: a torchvision name, FILE.py:FUNCTION, module:FUNCTION, "
            "FILE.safetensors of `shapebias train`, or the built-in demo-s and demo-r. Repeatable.",
            show_default="demo-s demo-r",
        ),
    ] = None,
    images: Annotated[
        str,
        typer.Option(
            metavar="IMAGES",
            help="A folder of class folders, or of images; tar files: one, a folder of them, or a pattern such as "
            "'train-{000..146}.tar'; a text file that lists images; any of them by URL (s3://…); or builtin:SPLIT.",
        ),
    ] = "builtin:probe",
    labels: LabelsOption = None,
    store: Annotated[str, typer.Option(metavar="DIR", help="Where the store goes.")] = "shapebias.zarr",
    layers: Annotated[
        str,
        typer.Option(help="`paper` (else the top-level blocks), `all` convolutions, or names and globs: conv1,layer*."),
    ] = "paper",
    top: Annotated[int, typer.Option(min=1, max=1000, help="Images kept for every unit.")] = 25,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only so many images, evenly spread.")] = None,
    batch_size: Annotated[str, typer.Option(metavar="auto|N", help="Images a forward.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            "--dtype",
            metavar="auto|highest|tf32|bf16|fp16",
            help="The precision of networks: highest is float32 throughout; auto is tf32 on GPUs that have it, else "
            "highest.",
        ),
    ] = "auto",
    workers: Annotated[str, typer.Option(metavar="auto|N", help="Processes that decode images.")] = "auto",
    decode: Annotated[
        str,
        typer.Option(
            metavar="exact|fast",
            help="Decode all pixels of JPEGs, to the bytes of torchvision's resize (exact), or large JPEGs at a part "
            "of their size, in less than half of the time (fast).",
        ),
    ] = "exact",
    seed: Annotated[int, typer.Option(min=0, help="For everything random.")] = 0,
    passes: Annotated[
        str,
        typer.Option(
            metavar="all|none|NAME,...",
            help="Beside the activations: noise (one more forward an image), sensitivity (four more for images in top "
            "lists), distortions (one more for each distortion), dissection (one more: the concept each unit detects); "
            "not in all: ablation, attribution (minutes).",
            show_default="noise; all for the built-in networks",
        ),
    ] = "",
    noise_std: Annotated[
        list[float] | None,
        typer.Option(help="Of the noise pass, for pixels in [0, 1]. Repeatable.", show_default="0.1"),
    ] = None,
    distortion: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the distortions pass, such as shuffle-4. Repeatable.",
            show_default="all kinds; seven for the built-in networks",
        ),
    ] = None,
    stylized: Annotated[
        str | None, typer.Option(metavar="IMAGES", help="Stylized versions of the images, named as they are.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="Accuracy on a folder such as ImageNet-C's or -R's. Repeatable."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(metavar="NORM:EPSILON", help="Accuracy under attack, such as l2:3 (20 steps). Repeatable."),
    ] = None,
    cue_conflict: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES",
            help="Cue-conflict images, named like cat/cat1-elephant2.png: shape or texture?",
            show_default="the built-in ones for the built-in networks",
        ),
    ] = None,
    ood: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=IMAGES",
            help="Accuracy among the sixteen categories on a set such as model-vs-human's edge. Repeatable.",
        ),
    ] = None,
    stimuli: Annotated[
        str,
        typer.Option(
            metavar="native|model",
            help="Images of --cue-conflict and --ood as they are (resized only to an input of another size), or by the "
            "network's own resize and crop.",
        ),
    ] = "native",
    categories: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON {category: [class, ...]} for classes not of ImageNet.")
    ] = None,
    broden: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Dissect units on a Broden folder, else on the probe images."),
    ] = None,
    embedding: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="A network to measure visual diversity by, in place of the models."),
    ] = None,
    iou_area: Annotated[
        str,
        typer.Option(
            metavar="published|netdissect-lite",
            help="Dissection: a unit's pixels count in all images that carry a category, or only where it fires on it.",
        ),
    ] = "published",
    ablate_accuracy: Annotated[
        bool, typer.Option("--ablate-accuracy", help="Ablation: each unit's part in the accuracy too.")
    ] = False,
    memory: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="MB",
            help="Ablation: what tensors may take.",
            show_default="1000 on the CPU, half of a GPU's free memory",
        ),
    ] = None,
    attribution: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...|all",
            help="Methods of the attribution pass, with settings as NAME:SETTING=VALUE (such as rise:masks=8000).",
            show_default="those of at most 50 gradients an image, and controls",
        ),
    ] = None,
    attribution_images: Annotated[
        int, typer.Option(min=1, metavar="N", help="Attribution: so many images, evenly over classes.")
    ] = 64,
    attribution_target: Annotated[
        str,
        typer.Option(
            metavar="predicted|label", help="Attribution: explain what the network decides for, or the right output."
        ),
    ] = "predicted",
    attribution_steps: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, metavar="N", help="Attribution: steps of insertion and deletion; 0 leaves them out."
        ),
    ] = 112,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|CSV",
            help="Attribution: boxes of the objects, as ILSVRC's XML or in a table, for pointing and localisation.",
            show_default="masks, of images that have them",
        ),
    ] = None,
    activations: Annotated[
        str, typer.Option(metavar="all|max|none", help="Which activations of every image the store keeps.")
    ] = "all",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget what an unfinished run has done, instead of going on.")
    ] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="Stop then, keeping what is done: for queues that kill."),
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Images that are kept or lost together when a run stops.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="local|ray", help="Who measures: this process, or Ray.")] = "local",
    ray_workers: Annotated[
        str, typer.Option(metavar="auto|N", help="Ray: networks at once; auto: as many as the cluster has room for.")
    ] = "auto",
    cpus_per_worker: Annotated[float, typer.Option(min=0.1, help="Ray: processors of each.")] = 1,
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="Ray: GPUs of each; parts of one are allowed.")] = 0,
    mix_gpus: Annotated[
        bool,
        typer.Option("--mix-gpus", help="Allow GPUs of several kinds (they round differently) in one store."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Pass images through networks and store every unit's activations and statistics.

    Without --model and --images: a standard and a robust network that come with the program, on images that it draws.
    """
    path = local_path(store, "written")
    share_processors()
    from shapebias.precompute.models.spec import PAIR, check_sources, parse_spec, parse_specs

    if not model and not images.startswith("builtin:"):
        raise UsageError(f"name a network for {printable(images)} with --model, such as --model alexnet")
    specs, rulers = parse_specs(model or list(PAIR)), [] if embedding is None else [parse_spec(embedding)]
    check_sources([*specs, *rulers])
    batch, processes = count("--batch-size", batch_size, 1), count("--workers", workers, 0)
    from shapebias.core.attribution.choice import parse_choices
    from shapebias.precompute.attacks.attack import parse_attack
    from shapebias.precompute.images.sources.named_sets import parse_sets
    from shapebias.precompute.images.sources.variants import parse_variant
    from shapebias.precompute.inputs import Inputs
    from shapebias.precompute.progress import console_progress
    from shapebias.precompute.settings import SHAPE_OR_TEXTURE, Settings, parse_passes
    from shapebias.precompute.stopping import stoppable
    from shapebias.precompute.unfinished import check_free

    if attribution is not None and "attribution" not in parse_passes(passes):
        raise UsageError("--attribution is of the attribution pass: add --passes attribution")
    settings = Settings(
        models=specs,
        images=images,
        labels=labels,
        store=path,
        layers=layers,
        top=top,
        limit=limit,
        batch_size=batch,
        device=device,
        precision=precision,
        workers=processes,
        decode=decode,
        seed=seed,
        overwrite=overwrite,
        passes=parse_passes(passes or ("noise" if model else "all")),
        noise_std=tuple(noise_std or Settings.noise_std),
        distortions=tuple(distortion or (Settings.distortions if model else SHAPE_OR_TEXTURE)),
        variants=tuple(map(parse_variant, variant or [])),
        stylized=stylized,
        attacks=tuple(map(parse_attack, attack or [])),
        cue_conflict=cue_conflict or (None if model else "builtin:cue-conflict"),
        ood=parse_sets(ood or []),
        stimuli=stimuli,
        iou_area=iou_area,
        categories=categories,
        broden=broden,
        embedding=next(iter(rulers), None),
        ablate_accuracy=ablate_accuracy,
        memory=memory,
        attribution=Settings.attribution if attribution is None else parse_choices(attribution),
        attribution_images=attribution_images,
        attribution_target=attribution_target,
        attribution_steps=attribution_steps,
        boxes=boxes,
        activations=activations,
        restart=restart,
        shard_size=shard_size,
        engine=engine,
        ray_workers=count("--ray-workers", ray_workers, 1),
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        mix_gpus=mix_gpus,
    )
    check_free(path, overwrite)
    with console_progress() as progress, stoppable(time_limit):
        progress.stage("listing images")
        inputs = Inputs.find(settings)
        from shapebias.precompute.run import precompute as run  # with PyTorch, which takes seconds: after any mistake

        summary = run(settings, progress, inputs)
    print(json.dumps(summary.to_json()) if as_json else summary.text())
