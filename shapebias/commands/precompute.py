"""`shapebias precompute`."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import Group, command, count, share_processors
from shapebias.commands.options import CATEGORIES_HELP, LABELS_HELP, WORKERS_HELP, DeviceOption, JsonOption
from shapebias.core.errors import UsageError
from shapebias.core.remote import local_path
from shapebias.core.text import printable

# For each heading of `precompute --help`, in their order, a function that makes an option below it. Options without a
# heading stand first.
_networks = partial(typer.Option, rich_help_panel="Networks")
_images = partial(typer.Option, rich_help_panel="Images")
_measured = partial(typer.Option, rich_help_panel="What to measure")
_shape = partial(typer.Option, rich_help_panel="Shape or texture")
_attribution = partial(typer.Option, rich_help_panel="Attribution")
_speed = partial(typer.Option, rich_help_panel="Speed and hardware")
_resuming = partial(typer.Option, rich_help_panel="Resuming")
_cluster = partial(typer.Option, rich_help_panel="Cluster")


@command(
    group=Group.MEASURE,
    examples=(
        "shapebias precompute --model AlexNet=alexnet@alexnet.pth --images photos --store alexnet.zarr",
        "shapebias precompute --model S=resnet50@s.pth --model R=resnet50@r.pt --images photos --passes all",
    ),
)
def precompute(
    model: Annotated[
        list[str] | None,
        _networks(
            "--model",
            metavar="SPEC",
            help=r"A network: \[LABEL=]SOURCE\[@CHECKPOINT]. SOURCE is a torchvision name, timm:NAME, FILE.py:FUNC, "
            "module:FUNC, FILE.safetensors of `shapebias train`, or one that comes with the program: demo-s, demo-r, "
            "photo-s, photo-r. Repeatable.",
            show_default="demo-s and demo-r",
        ),
    ] = None,
    layers: Annotated[
        str,
        _networks(
            metavar="paper|all|NAME,...",
            help="The layers to watch: those of the published studies (paper; the top-level blocks of other networks), "
            "all convolutions, or names and globs such as conv1,layer*.",
        ),
    ] = "paper",
    images: Annotated[
        str | None,
        _images(
            metavar="IMAGES",
            help="The images: a folder of class folders, or of images; tar files (one, a folder of them, or a pattern "
            "such as 'train-{000..146}.tar'); a text file that lists images; the URL of any of these (s3://…); "
            "cifar10:test and the like, downloaded once; or builtin:SPLIT.",
            show_default="builtin:probe",
        ),
    ] = None,
    labels: Annotated[Path | None, _images(metavar="FILE", help=LABELS_HELP)] = None,
    limit: Annotated[
        int | None,
        _images(min=1, help="Use at most this many images, spread evenly over all of them."),
    ] = None,
    store: Annotated[str, typer.Option(metavar="DIR", help="The folder of the store to make.")] = "shapebias.zarr",
    passes: Annotated[
        str,
        _measured(
            metavar="all|none|NAME,...",
            help="What to measure beside the activations: noise (costs one more forward for each image), sensitivity "
            "(four more for images in top lists), distortions (one more for each distortion), dissection (one more; "
            "the concept that each unit detects). `all` is these four; ablation and attribution take minutes, and are "
            "asked for by name.",
            show_default="noise; all for the built-in networks",
        ),
    ] = "",
    top: Annotated[
        int,
        _measured(min=1, max=1000, help="The number of top images kept for every unit."),
    ] = 25,
    activations: Annotated[
        str,
        _measured(
            metavar="all|max|none",
            help="Which activations of every image to keep: maximum and mean of the map, the maximum, or none.",
        ),
    ] = "all",
    noise_std: Annotated[
        list[float] | None,
        _measured(
            help="The standard deviation of the noise of the noise pass, for pixels in [0, 1]. Repeatable.",
            show_default="0.1",
        ),
    ] = None,
    distortion: Annotated[
        list[str] | None,
        _measured(
            metavar="NAME",
            help="A distortion of the distortions pass, such as shuffle-4. Repeatable.",
            show_default="all kinds; seven for the built-in networks",
        ),
    ] = None,
    stylized: Annotated[
        str | None,
        _measured(
            metavar="IMAGES", help="Stylized versions of the images, with the same names, to measure accuracy on."
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        _measured(
            metavar="NAME=DIR",
            help="Another version of the data set, such as ImageNet-C or -R, to measure accuracy on. Repeatable.",
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        _measured(
            metavar="NORM:EPSILON",
            help="An attack of 20 steps to measure accuracy under, such as l2:3 or linf:4/255. Repeatable.",
        ),
    ] = None,
    broden: Annotated[
        Path | None,
        _measured(
            metavar="DIR", help="The folder of a Broden data set to dissect units on.", show_default="the probe images"
        ),
    ] = None,
    iou_area: Annotated[
        str,
        _measured(
            metavar="published|netdissect-lite",
            help="The images over which a unit's area is summed for its IoU with a concept: all that carry the "
            "concept's category (published), or only those of them in which the unit fires on a concept of that "
            "category (netdissect-lite).",
        ),
    ] = "published",
    embedding: Annotated[
        str | None,
        _measured(
            metavar="SPEC",
            help="A network whose embedding says how similar images are, for visual diversity.",
            show_default="each model's own",
        ),
    ] = None,
    ablate_accuracy: Annotated[
        bool,
        _measured(
            "--ablate-accuracy", help="Let the ablation pass also measure how much accuracy is lost without each unit."
        ),
    ] = False,
    cue_conflict: Annotated[
        str | None,
        _shape(
            metavar="IMAGES",
            help="Cue-conflict images to measure the shape bias on, named like cat/cat1-elephant2.png (shape cat, "
            "texture elephant).",
            show_default="the built-in ones for the built-in networks",
        ),
    ] = None,
    ood: Annotated[
        list[str] | None,
        _shape(
            metavar="NAME=IMAGES",
            help="Images of the sixteen categories, such as model-vs-human's set edge, to measure accuracy on. "
            "Repeatable.",
        ),
    ] = None,
    stimuli: Annotated[
        str,
        _shape(
            metavar="native|model",
            help="How images of --cue-conflict and --ood are prepared. native: as they are, resized only for an "
            "input of another size; model: by the network's own resize and crop.",
        ),
    ] = "native",
    categories: Annotated[Path | None, _shape(metavar="FILE", help=CATEGORIES_HELP)] = None,
    attribution: Annotated[
        str | None,
        _attribution(
            metavar="NAME,...|all",
            help="The methods of the attribution pass, with settings as NAME:SETTING=VALUE (such as rise:masks=8000).",
            show_default="those of at most 50 gradients an image, and controls",
        ),
    ] = None,
    attribution_images: Annotated[
        int,
        _attribution(min=1, metavar="N", help="The number of images to explain, spread evenly over classes."),
    ] = 64,
    attribution_target: Annotated[
        str,
        _attribution(
            metavar="predicted|label", help="The output to explain: what the network decides for, or the image's label."
        ),
    ] = "predicted",
    attribution_steps: Annotated[
        int,
        _attribution(
            min=0,
            max=100_000,
            metavar="N",
            help="The number of steps of the insertion and deletion scores; 0 leaves both out.",
        ),
    ] = 112,
    boxes: Annotated[
        Path | None,
        _attribution(
            metavar="DIR|CSV",
            help="Boxes of the objects, as ILSVRC's XML or a CSV table, for the pointing and localisation scores.",
            show_default="masks, of images that have them",
        ),
    ] = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[str, _speed(metavar="auto|N", help="The number of images of a forward.")] = "auto",
    precision: Annotated[
        str,
        _speed(
            "--precision",
            "--dtype",
            metavar="auto|highest|tf32|bf16|fp16",
            help="The precision of networks: highest is float32 throughout; auto is tf32 on GPUs that have it, else "
            "highest.",
        ),
    ] = "auto",
    workers: Annotated[
        str,
        _speed(metavar="auto|N", help=WORKERS_HELP),
    ] = "auto",
    decode: Annotated[
        str,
        _speed(
            metavar="exact|fast|gpu",
            help="How JPEGs are decoded: all of their pixels (exact), large ones at a part of their size, in less "
            "than half of the time (fast), or by the GPU, with other rounding (gpu).",
        ),
    ] = "exact",
    memory: Annotated[
        int | None,
        _speed(
            min=1,
            metavar="MB",
            help="The memory in MB that tensors of the ablation pass may take.",
            show_default="1000 on the CPU, half of a GPU's free memory",
        ),
    ] = None,
    seed: Annotated[int, _measured(min=0, help="The seed of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")] = False,
    restart: Annotated[
        bool,
        _resuming("--restart", help="Begin anew, instead of going on with an unfinished run."),
    ] = False,
    time_limit: Annotated[
        float | None,
        _resuming(
            min=1,
            metavar="SECONDS",
            help="Stop after this time and keep what is done; the same command goes on from there.",
        ),
    ] = None,
    shard_size: Annotated[
        int | None,
        _resuming(
            min=1,
            metavar="N",
            help="The number of images that are saved at once, rounded up to whole batches: a stopped run loses fewer.",
            show_default="by the number of images and their size",
        ),
    ] = None,
    engine: Annotated[
        str,
        _cluster(metavar="local|ray", help="Whether this process runs the networks, or workers of a Ray cluster."),
    ] = "local",
    ray_workers: Annotated[
        str,
        _cluster(metavar="auto|N", help="The number of Ray workers; auto is as many as the cluster has room for."),
    ] = "auto",
    cpus_per_worker: Annotated[float, _cluster(min=0.1, help="The processors of each Ray worker.")] = 1,
    gpus_per_worker: Annotated[
        float,
        _cluster(min=0, help="The GPUs of each Ray worker; 0.5 lets two share one."),
    ] = 0,
    mix_gpus: Annotated[
        bool,
        _cluster("--mix-gpus", help="Allow GPUs of several kinds (they round differently) in one store."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Pass images through networks and store every unit's activations and statistics.

    Without --model and --images, it measures two networks that come with the program, a standard and a robust one, on
    images that it draws.
    """
    path = local_path(store, "written")
    share_processors()
    from shapebias.precompute.models.spec import PAIR, check_sources, parse_spec, parse_specs, usual_images

    if not model and images is not None and not images.startswith("builtin:"):
        raise UsageError(f"name a network for {printable(images)} with --model, such as --model alexnet")
    specs, rulers = parse_specs(model or list(PAIR)), [] if embedding is None else [parse_spec(embedding)]
    images = usual_images(specs) if images is None else images
    check_sources([*specs, *rulers])
    batch, processes = count("--batch-size", batch_size, 1), count("--workers", workers, 0)
    from shapebias.core.attribution.choice import parse_choices
    from shapebias.precompute.attacks.attack import parse_attack
    from shapebias.precompute.images.sources.named_sets import parse_sets
    from shapebias.precompute.images.sources.variants import parse_variant
    from shapebias.precompute.inputs import Inputs
    from shapebias.precompute.progress import console_progress
    from shapebias.precompute.settings import SHAPE_OR_TEXTURE, Settings, check_gpu, parse_passes
    from shapebias.precompute.stopping import stoppable
    from shapebias.precompute.unfinished import check_free

    if attribution is not None and "attribution" not in parse_passes(passes):
        raise UsageError("--attribution needs the attribution pass: add --passes attribution")
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
    check_gpu(settings)
    check_free(path, overwrite)
    with console_progress() as progress, stoppable(time_limit):
        progress.stage("listing images")
        inputs = Inputs.find(settings, progress)
        # Imports PyTorch, which takes seconds, so only after all checks.
        from shapebias.precompute.run import precompute as run

        summary = run(settings, progress, inputs)
    if as_json:
        print(json.dumps(summary.to_json()))
        return
    from shapebias.core.paper.claims import story
    from shapebias.core.store.opening import open_store

    print(summary.text())
    if lines := story(open_store(path)):
        print("", *lines, sep="\n")
