"""The first stage: runs the images and their noisy versions through every model."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shapebias.core.text import printable
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.measures.activation import StatisticsPlan
from shapebias.precompute.measures.probe import ProbeMeasure
from shapebias.precompute.measures.thumbnails import FEW, PictureMeasure, pictures_of
from shapebias.precompute.scanning.rows import used_positions
from shapebias.precompute.scanning.scan import Parts, Scan
from shapebias.precompute.settings import ACTIVATIONS
from shapebias.precompute.stages.attribution import choose_images
from shapebias.precompute.stages.run import ModelRun, Run, none_can_be_used


def measure_activations(run: Run) -> None:
    """Run the images and their noisy versions through every model, which gives all statistics.

    The results are kept in the run and its models; activations, pictures and the list of images are written into the
    store. Raises StartAgainError where no image can be used, or where images changed between the passes of two models,
    ShapebiasError where a network fails.
    """
    for geometry, models in run.groups():
        measure = _measure(run, models)
        parts = run.engine.run(_scan(run, geometry, models, measure))
        skipped, used = parts.skipped, used_positions(parts)
        if not len(used):
            raise none_can_be_used(run.image_set, skipped)
        if models[0] is run.models[0]:
            run.used = used
            choose_images(run)
            run.skipped += skipped
            run.notes += _black_images(run, measure.black(parts))
        run.check_unchanged(run.image_set, np.array_equal(used, run.used))
        run.progress.stage("merging")
        for model in models:
            _merge(run, model, measure, parts)
        _write_pictures(run, geometry, models, parts)
    run.progress.stage("writing the store")
    run.writer.images(run.image_set, run.used, run.skipped)


def _black_images(run: Run, positions: NDArray[np.int64]) -> list[str]:
    """Return a warning about the images at these positions, which are black after preprocessing; empty without any."""
    if not len(positions):
        return []
    first = printable(run.image_set.paths[positions[0]], 60)
    count = f"{len(positions):,} image{' comes' if len(positions) == 1 else 's come'}"
    return [f"{count} out black, no pixel brighter than 15 of 255, such as {first}"]


def _measure(run: Run, models: list[ModelRun]) -> ProbeMeasure:
    settings, image_set = run.settings, run.image_set
    return ProbeMeasure(
        models=tuple(model.number for model in models),
        plan=StatisticsPlan(settings.top, len(image_set), len(image_set.class_ids), settings.seed),
        labels=image_set.labels,
        keys=image_keys(image_set.paths, settings.seed),
        noises=settings.noises,
        kinds=ACTIVATIONS[settings.activations],
    )


def _scan(run: Run, geometry: Geometry, models: list[ModelRun], measure: ProbeMeasure) -> Scan:
    embedding = sum(model.runner.layers[-1].units for model in models)
    units = sum(layer.units for model in models for layer in model.runner.layers)
    return Scan(
        name=f"activations-{geometry.key}",
        title=", ".join(model.label for model in models),
        image_set=run.image_set,
        geometry=geometry,
        measure=measure,
        versions=("clean", *run.settings.noises) if run.settings.noises else None,
        thumbnails=_with_thumbnails(run),
        image_bytes=16 + 2 * (units * len(measure.kinds) + embedding),
    )


def _with_thumbnails(run: Run) -> bool:
    """Return whether the first scan makes a thumbnail of every image; else a scan of those that are wanted follows."""
    return len(run.image_set) <= FEW and not run.image_set.on_gpu


def _merge(run: Run, model: ModelRun, measure: ProbeMeasure, parts: Parts) -> None:
    """Merge `parts`, the results of all shards, into the results of `model`, and write its activations into the store.

    `measure` is the measurement that gave the parts.
    """
    model.embeddings = partial(measure.embeddings, parts, model.number)
    model.probe_result = measure.merge(model.number, model.runner, parts)
    model.target = model.runner.targets(run.image_set.labels[run.used])
    model.top = [replace(layer.top, image=_indices(run, layer.top.image)) for layer in model.probe.layers]
    layers = model.runner.layers
    writer = run.writer.activations(model.label, sum(layer.units for layer in layers), measure.kinds)
    for part in parts:
        of_layers = [measure.activations(part, model.number, index) for index in range(len(layers))]
        writer.append(*(np.concatenate(kind, 1) for kind in zip(*of_layers, strict=True)))
    writer.close()


def _indices(run: Run, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices in the store of images at positions in the listing; -1 stays -1."""
    return np.where(positions >= 0, np.searchsorted(run.used, positions), -1)


def _write_pictures(run: Run, geometry: Geometry, models: list[ModelRun], parts: Parts) -> None:
    """Write the pictures, in a geometry, of all images in the models' top lists and of those that attribution explains.

    `parts` are those of the first scan, which hold all pictures where there are few images.
    """
    named = np.unique(np.concatenate([run.explained, *(top.image.ravel() for model in models for top in model.top)]))
    thumbnails = run.used[named[named >= 0]]
    if not _with_thumbnails(run):
        scan = Scan(
            name=f"pictures-{geometry.key}",
            title="thumbnails",
            image_set=run.image_set,
            geometry=geometry,
            measure=PictureMeasure(),
            positions=thumbnails,
            thumbnails=True,
        )
        by_row = pictures_of(run.scan_again(scan), np.arange(len(thumbnails)))
        pictures = {int(thumbnails[row]): picture for row, picture in by_row.items()}
    else:
        pictures = pictures_of(parts, thumbnails)
    rows = np.searchsorted(run.used, list(pictures))
    run.writer.thumbnails(geometry.key, dict(zip(rows.tolist(), pictures.values(), strict=True)))
