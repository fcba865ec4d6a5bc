"""The whole run of `shapebias precompute`, without its command line: images through networks into a store, stage by
stage.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

import shapebias
from shapebias.core.store import schema
from shapebias.core.text import printable
from shapebias.precompute.device import HIGHEST, Device, choose_device
from shapebias.precompute.images.sources.variants import pair_by_name
from shapebias.precompute.images.worker import kept_workers
from shapebias.precompute.inputs import Inputs
from shapebias.precompute.measures.cue_conflict import label_images
from shapebias.precompute.measures.ood import label_set
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, prepare_runners
from shapebias.precompute.scanning.gpu_decoding import NOTE, check_decoding
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.scan import Engine
from shapebias.precompute.settings import GPU, Settings
from shapebias.precompute.spending import Spending
from shapebias.precompute.stages.ablation import ablate
from shapebias.precompute.stages.activations import measure_activations
from shapebias.precompute.stages.attribution import attribute
from shapebias.precompute.stages.decisions import decide
from shapebias.precompute.stages.metrics import finish_layers
from shapebias.precompute.stages.run import Run, summarize
from shapebias.precompute.summary import Summary
from shapebias.precompute.writer import StoreWriter


def precompute(settings: Settings, progress: Reporter, inputs: Inputs | None = None) -> Summary:
    """Run the images through every model, commit the store, and return the summary of the run.

    `inputs` are those of the settings, if they are already listed.

    Raises ShapebiasError where the run fails. Then there is no store, but finished work is kept beside its path, and a
    run with the same settings continues there.
    """
    started = time.perf_counter()
    with StoreWriter(settings.store, settings.overwrite, settings.to_attributes()) as writer:
        measuring, device = _devices(settings)
        if inputs is None:
            progress.stage("listing images")
            inputs = Inputs.find(settings, progress)
        progress.stage("loading models")
        runners = prepare_runners(settings, inputs.image_set, device)
        _check(settings, inputs, runners)
        loading = time.perf_counter() - started
        resumed = writer.unfinished.begin(_identity(settings, inputs, runners, measuring), settings.restart)
        with (
            kept_workers(),
            _engine(settings, inputs, runners, device=measuring, progress=progress, writer=writer) as engine,
        ):
            if settings.engine != "ray":  # nodes of a Ray cluster may not see the folder
                inputs = inputs.drawn_once(writer.unfinished.drawn)
            run = Run(settings, inputs, runners, engine, writer=writer, device=device, progress=progress)
            for stage in (measure_activations, finish_layers, decide, attribute, ablate, write_models):
                stage(run)
        gpus = writer.unfinished.gpus()
        writer.device(_device_facts(measuring) | {"gpus": gpus})
        models = [summarize(model, len(run.used), run.cue_conflict) for model in run.models]
        decoding = [NOTE] if settings.decode == GPU else []
        continued = ["continued an unfinished run"] if resumed else []
        notes = [*continued, *decoding, *engine.notes, *run.notes]
        writer.notes([*notes, *(f"{model.label}: {note}" for model in models for note in model.remarks())])
        size = writer.commit()
    seconds = time.perf_counter() - started
    return Summary(
        store=str(settings.store),
        size=size,
        device=f"{', '.join(gpus)}, {measuring.precision.text}" if gpus else str(device),
        images=len(run.used),
        seconds=seconds,
        spending=None if resumed or not isinstance(engine, LocalEngine) else _spending(run, engine, loading, seconds),
        models=models,
        skipped=run.skipped,
        annotation=[] if run.annotations is None else run.annotations.notes(),
        notes=notes,
    )


def _devices(settings: Settings) -> tuple[Device, Device]:
    """Return the device that measures, and the one that holds this process's networks: with Ray, the CPU."""
    if settings.engine == "ray":
        from shapebias.precompute.scanning.ray import worker_device

        measuring = worker_device(settings)
        check_decoding(settings.decode, measuring)
        return measuring, Device(torch.device("cpu"), HIGHEST if measuring.precision.tf32 else measuring.precision)
    device = choose_device(settings.device, settings.precision)
    check_decoding(settings.decode, device)
    return device, device


@contextmanager
def _engine(
    settings: Settings,
    inputs: Inputs,
    runners: list[Runner],
    *,
    device: Device,
    progress: Reporter,
    writer: StoreWriter,
) -> Iterator[Engine]:
    """Yield the engine that the settings name. It keeps the parts of shards beside the store that is being made."""
    folder = writer.unfinished.shards
    if settings.engine == "ray":
        from shapebias.precompute.scanning.ray import RayEngine

        add_gpu = partial(writer.unfinished.add_gpu, mixing=settings.mix_gpus)
        with RayEngine(settings, inputs.image_set, device, progress, folder=folder, add_gpu=add_gpu) as engine:
            yield engine
    else:
        if device.gpu is not None:
            writer.unfinished.add_gpu(device.gpu, settings.mix_gpus)
        yield LocalEngine(runners, settings, device, progress, folder=folder)


def _check(settings: Settings, inputs: Inputs, runners: Sequence[Runner]) -> None:
    """Look for mistakes before the long passes start.

    Raises ShapebiasError where stylized images have no partners, or cue-conflict images or stimuli no categories.
    """
    if inputs.stylized is not None:
        pair_by_name(inputs.image_set, np.arange(len(inputs.image_set)), inputs.stylized)
    if inputs.conflicting is not None:
        label_images(runners[: len(settings.models)], inputs.conflicting[0], settings.categories)
    for name, (image_set, _) in inputs.ood.items():
        label_set(runners[: len(settings.models)], name, image_set, settings.categories)


def _spending(run: Run, engine: LocalEngine, loading: float, seconds: float) -> Spending:
    """Return how the seconds of a run were spent, all of which must have been spent in this process.

    loading, seconds: those until networks were loaded, and those of the whole run.
    """
    pass_seconds, network_seconds, _ = np.sum([model.probe.seconds for model in run.models], axis=0).tolist()
    return Spending(
        loading=loading,
        images=engine.waited,
        networks=network_seconds,
        statistics=pass_seconds - network_seconds,
        passes=max(0.0, engine.seconds - engine.waited - pass_seconds),
        writing=max(0.0, seconds - loading - engine.seconds),
    )


def _device_facts(device: Device) -> dict[str, object]:
    """Return the facts about the measuring device that results depend on, except the kind of GPU, ready for JSON."""
    return {"kind": device.device.type, "precision": device.precision.name, "torch": torch.__version__}


def _identity(settings: Settings, inputs: Inputs, runners: Sequence[Runner], measuring: Device) -> dict[str, object]:
    """Return everything that the results depend on, except the kind of GPU, ready for JSON.

    measuring: the device that measures.
    """
    networks = {f"{number} {runner.model.label}": _network(runner) for number, runner in enumerate(runners)}
    return settings.identity() | {
        "shapebias": shapebias.__version__,
        "device": _device_facts(measuring),
        "networks": networks,
        "digests": inputs.digests(),
        "files": settings.file_digests(),
    }


def _network(runner: Runner) -> dict[str, object]:
    """Return everything that a network's results depend on, ready for JSON."""
    return {
        "weights": runner.model.weights_sha256(),
        "preprocessing": runner.model.preprocessing.to_attributes(),
        "layers": [list(layer.point) for layer in runner.layers],
    }


def write_models(run: Run) -> None:
    """Write the facts of every model into the store, and the metrics of its units."""
    for model_run in run.models:
        model = model_run.runner.model
        run.writer.model(
            schema.Model(
                label=model.label,
                architecture=model.architecture,
                source=printable(model.source),
                weights_sha256=model.weights_sha256(),
                preprocessing=model.preprocessing.to_attributes(),
                thumbnails=model.preprocessing.geometry.key,
                layers=[layer.name for layer in model_run.runner.layers],
                top1=model_run.top1,
                parameters=model.parameters,
                file_sha256=model.file_sha256,
                variants=[variant.to_attributes() for variant in model_run.variants],
            )
        )
