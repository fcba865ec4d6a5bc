"""`shapebias precompute` without its command line: images through networks into a store, stage by stage."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

import shapebias
from shapebias.core.store import schema
from shapebias.core.text import printable
from shapebias.precompute.device import Device, choose_device
from shapebias.precompute.images.sources.variants import pair_by_name
from shapebias.precompute.inputs import Inputs
from shapebias.precompute.measures.cue_conflict import label_images
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, prepare_runners
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.scan import Engine
from shapebias.precompute.settings import Settings
from shapebias.precompute.stages.ablation import ablate
from shapebias.precompute.stages.activations import watch
from shapebias.precompute.stages.decisions import decide
from shapebias.precompute.stages.metrics import finish_layers
from shapebias.precompute.stages.run import Run, summarize
from shapebias.precompute.summary import Summary
from shapebias.precompute.writer import StoreWriter


def precompute(settings: Settings, progress: Reporter) -> Summary:
    """Passes the images through every model and commits the store. Raises ShapebiasError; then no store is left, but
    what was done is kept beside its place, and the same settings go on from there."""
    started = time.perf_counter()
    with StoreWriter(settings.store, settings.overwrite, settings.to_attributes()) as writer:
        device = choose_device(settings.device, settings.dtype)
        progress.stage("listing images")
        inputs = Inputs.find(settings)
        progress.stage("loading models")
        runners = prepare_runners(settings, inputs.images, device)
        _check(settings, inputs, runners)
        resumed = writer.workplace.begin(_identity(settings, inputs, runners), settings.restart)
        with _engine(settings, inputs, runners, device, progress, writer) as engine:
            run = Run(settings, progress, writer, inputs, runners, engine, device)
            for stage in (watch, finish_layers, decide, ablate, write_models):
                stage(run)
        size = writer.commit()
    notes = [*(["went on with a run that was not finished"] if resumed else []), *engine.notes]
    return Summary(
        store=str(settings.store),
        store_bytes=size,
        device=str(device),
        images=len(run.used),
        seconds=time.perf_counter() - started,
        models=[summarize(job, len(run.used), run.cue_conflict) for job in run.jobs],
        skipped=run.skipped,
        annotation=[] if run.annotations is None else run.annotations.notes(),
        notes=notes,
    )


@contextmanager
def _engine(
    settings: Settings,
    inputs: Inputs,
    runners: list[Runner],
    device: Device,
    progress: Reporter,
    writer: StoreWriter,
) -> Iterator[Engine]:
    if settings.engine == "ray":
        from shapebias.precompute.scanning.ray import RayEngine

        with RayEngine(settings, inputs.images, device, progress, writer.workplace.shards) as engine:
            yield engine
    else:
        yield LocalEngine(runners, settings, device, progress, writer.workplace.shards)


def _check(settings: Settings, inputs: Inputs, runners: Sequence[Runner]) -> None:
    """Finds mistakes before the long passes. Raises ShapebiasError."""
    if inputs.stylized is not None:
        pair_by_name(inputs.images, np.arange(len(inputs.images)), inputs.stylized)
    if inputs.conflicting is not None:
        label_images(runners, inputs.conflicting[0], settings.categories)


def _identity(settings: Settings, inputs: Inputs, runners: Sequence[Runner]) -> dict[str, object]:
    """All that the results depend on, as JSON."""
    networks = {
        runner.model.label: {
            "weights": runner.model.weights_sha256(),
            "preprocessing": runner.model.preprocessing.to_attributes(),
            "layers": [layer.module for layer in runner.layers],
        }
        for runner in runners
    }
    kind = "cuda" if settings.engine == "ray" and settings.gpus_per_worker else runners[0].device.device.type
    device = {"kind": kind, "dtype": str(runners[0].device.dtype)}
    return settings.identity() | {
        "shapebias": shapebias.__version__,
        "device": device,
        "networks": networks,
        "digests": inputs.digests(),
        "files": settings.file_digests(),
    }


def write_models(run: Run) -> None:
    """The facts of every model."""
    for job in run.jobs:
        model = job.runner.model
        run.writer.model(
            schema.Model(
                label=model.label,
                architecture=model.architecture,
                source=printable(model.source),
                weights_sha256=model.weights_sha256(),
                preprocessing=model.preprocessing.to_attributes(),
                thumbnails=model.preprocessing.geometry.key,
                layers=[layer.name for layer in job.runner.layers],
                top1=job.top1,
                parameters=model.parameters,
                file_sha256=model.file_sha256,
                variants=[variant.to_attributes() for variant in job.variants],
            )
        )
