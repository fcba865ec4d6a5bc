"""The first stage: the images, and their noisy versions, through every model."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.measures.probe import Watched, Watching
from shapebias.precompute.measures.thumbnails import FEW, Picturing, pictures_of
from shapebias.precompute.scanning.scan import Parts, Scan
from shapebias.precompute.settings import ACTIVATIONS
from shapebias.precompute.stages.run import Job, Run, none_can_be_used


def watch(run: Run) -> None:
    """The images, and their noisy versions, through every model; the statistics are then known."""
    for geometry, jobs in run.groups():
        measure = _watching(run, jobs)
        parts = run.engine.run(_watch_scan(run, geometry, jobs, measure))
        skipped = parts.skipped
        used = np.concatenate([part["position"] for part in parts if "position" in part] or [run.used])
        if not len(used):
            raise none_can_be_used(run.images, skipped)
        if jobs[0] is run.jobs[0]:
            run.used = used
            run.skipped += skipped
            run.watched = parts
        run.check_unchanged(run.images, np.array_equal(used, run.used))
        run.progress.stage("merging")
        for job in jobs:
            _merge(run, job, measure, parts)
        _write_pictures(run, geometry, jobs, parts)
    run.progress.stage("writing the store")
    run.writer.images(run.images, run.used, run.skipped)


def _watching(run: Run, jobs: list[Job]) -> Watching:
    settings, images = run.settings, run.images
    return Watching(
        tuple(job.number for job in jobs),
        len(images),
        len(images.class_ids),
        images.labels,
        settings.top,
        settings.seed,
        settings.noises,
        ACTIVATIONS[settings.activations],
        ruler=0,
    )


def _watch_scan(run: Run, geometry: Geometry, jobs: list[Job], measure: Watching) -> Scan:
    units = sum(layer.units for job in jobs for layer in job.runner.layers)
    embedding = run.jobs[measure.ruler].runner.layers[-1].units if measure.ruler in measure.models else 0
    return Scan(
        f"activations-{geometry.key}",
        ", ".join(job.label for job in jobs),
        run.images,
        geometry,
        measure,
        versions=("clean", *run.settings.noises) if run.settings.noises else None,
        thumbnails=len(run.images) <= FEW,
        image_bytes=16 + 2 * (units * len(measure.kinds) + embedding),
    )


def _merge(run: Run, job: Job, measure: Watching, parts: Parts) -> None:
    """What the shards gave a model, as one; its activations into the store."""
    job.watched = Watched.merge(measure, job.number, job.runner, parts)
    job.target = job.runner.targets(run.images.labels[run.used])
    found = [statistics.top_images() for statistics in job.found.statistics]
    job.top = [replace(top, image=_indices(run, top.image)) for top in found]
    rows = [
        run.writer.activations(job.label, layer.name, len(run.used), layer.units, measure.kinds)
        for layer in job.runner.layers
    ]
    for part in parts:
        for index, each in enumerate(rows):
            if measure.kinds and "position" in part:
                each.append(*(part[f"{job.number}.{index}.{kind}"] for kind in measure.kinds))
    for each in rows:
        each.close()


def _indices(run: Run, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices in the store of images at positions in the listing; -1 stays."""
    return np.where(positions >= 0, np.searchsorted(run.used, positions), -1)


def _write_pictures(run: Run, geometry: Geometry, jobs: list[Job], parts: Parts) -> None:
    """The pictures of all images that top lists name."""
    named = np.unique(np.concatenate([top.image.ravel() for job in jobs for top in job.top]))
    wanted = run.used[named[named >= 0]]
    if len(run.images) > FEW:
        scan = Scan(
            f"pictures-{geometry.key}", "thumbnails", run.images, geometry, Picturing(), wanted, thumbnails=True
        )
        found = pictures_of(run.scan_again(scan), np.arange(len(wanted)))
        pictures = {int(wanted[place]): picture for place, picture in found.items()}
    else:
        pictures = pictures_of(parts, wanted)
    rows = np.searchsorted(run.used, list(pictures))
    run.writer.thumbnails(geometry.key, dict(zip(rows.tolist(), pictures.values(), strict=True)))
