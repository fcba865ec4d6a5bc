"""The second stage: every metric of every unit."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store import schema
from shapebias.precompute.images.annotations import Annotations, annotate, annotated_images
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.measures.dissection import Dissecting, Thresholding, Thresholds
from shapebias.precompute.measures.probe import embeddings
from shapebias.precompute.measures.sensitivity import VERSIONS, Sensitivity, sensitivities
from shapebias.precompute.scanning.scan import Scan
from shapebias.precompute.stages.run import Job, Run, none_can_be_used
from shapebias.precompute.statistics.diversity import class_diversity, visual_diversity
from shapebias.precompute.statistics.variation import filter_smoothness


def finish_layers(run: Run) -> None:
    """Every metric of every unit, into the store."""
    labels = run.images.labels[run.used]
    for job in run.jobs:
        job.metrics = [_metrics(run, job, index) for index in range(len(job.runner.layers))]
        if run.images.class_ids:
            for metrics, top in zip(job.metrics, job.top, strict=True):
                metrics["class_diversity"] = class_diversity(top.image, labels)
    _visual_diversity(run)
    if "sensitivity" in run.settings.passes:
        for job in run.jobs:
            _measure_sensitivity(run, job)
    if run.settings.dissects:
        for geometry, jobs in run.groups():
            _dissect(run, geometry, jobs)
    for job in run.jobs:
        _write_layers(run, job)


def _metrics(run: Run, job: Job, index: int) -> dict[str, NDArray[np.float32]]:
    """The metrics of a layer that need no further forward."""
    metrics = job.found.statistics[index].metrics()
    kernel = job.runner.trace.kernel(job.runner.layers[index])
    if kernel is not None:
        metrics["filter_smoothness"] = filter_smoothness(kernel.float().cpu().numpy())
    for noisy in job.found.noisy:
        metrics |= noisy.metrics(index, metrics["tv"])
    return metrics


def _visual_diversity(run: Run) -> None:
    """By one ruler for all models: the last layer of the first model."""
    assert run.watched is not None
    for job in run.jobs:
        size = run.jobs[0].runner.layers[-1].units
        found = visual_diversity([top.image for top in job.top], embeddings(run.watched, 0), size)
        for metrics, each in zip(job.metrics, found, strict=True):
            metrics["visual_diversity"] = each


def _measure_sensitivity(run: Run, job: Job) -> None:
    images = [top.image for top in job.top]
    named = np.unique(np.concatenate([image.ravel() for image in images]))
    named = named[named >= 0]
    measure = Sensitivity(job.number, [np.where(image >= 0, np.searchsorted(named, image), -1) for image in images])
    scan = Scan(
        f"sensitivity-{job.label}",
        f"{job.label}: sensitivity",
        run.images,
        job.runner.geometry,
        measure,
        run.used[named],
        VERSIONS,
    )
    found = sensitivities(run.scan_again(scan), images, [top.value for top in job.top])
    for metrics, each in zip(job.metrics, found, strict=True):
        metrics |= each


def _dissect(run: Run, geometry: Geometry, jobs: list[Job]) -> None:
    """Which concept each unit detects in annotated images, else in the probe images, whose q995 is known."""
    broden, numbers = run.inputs.broden, tuple(job.number for job in jobs)
    if broden is not None:
        annotations = broden.annotations(geometry)
    else:
        annotations = annotate(annotated_images(run.images, run.settings.limit), geometry)
    if annotations.images is run.images:
        positions = run.used
        thresholds: list[Thresholds] = [[metrics["q995"] for metrics in job.metrics] for job in jobs]
    else:
        wanted = Thresholding(numbers, annotations, run.settings.seed)
        parts = run.engine.run(_annotated_scan(run, "thresholds", annotations, wanted, None))
        thresholds = [wanted.merge(job.number, job.runner, parts) for job in jobs]
        positions = np.concatenate([np.zeros(0, np.int64), *(p["position"] for p in parts if "position" in p)])
        annotations = replace(annotations, skipped=(*annotations.skipped, *parts.skipped))
        if not len(positions):
            raise none_can_be_used(annotations.images, parts.skipped, "annotated images")
    measure = Dissecting(numbers, annotations, thresholds)
    parts = run.scan_again(_annotated_scan(run, "dissection", annotations, measure, positions))
    for job in jobs:
        found = measure.merge(job.number, parts)
        job.concepts = [concepts for concepts, _ in found]
        for metrics, (_, more) in zip(job.metrics, found, strict=True):
            metrics |= more
    run.writer.concepts(annotations, len(positions))
    run.annotations = annotations


def _annotated_scan(
    run: Run,
    name: str,
    annotations: Annotations,
    measure: Thresholding | Dissecting,
    positions: NDArray[np.int64] | None,
) -> Scan:
    labels = ", ".join(run.jobs[number].label for number in measure.models)
    geometry, title = annotations.geometry, f"{labels}: {name}"
    return Scan(
        f"{name}-{geometry.key}", title, annotations.images, geometry, measure, positions, annotations=annotations
    )


def _write_layers(run: Run, job: Job) -> None:
    for layer, metrics, top, statistics in zip(
        job.runner.layers, job.metrics, job.top, job.found.statistics, strict=True
    ):
        facts = schema.Layer(
            name=layer.name,
            module=layer.module,
            units=layer.units,
            map_height=layer.height,
            map_width=layer.width,
            left_out=statistics.left_out,
        )
        run.writer.layer(job.label, facts, metrics, top)
    for layer, concepts in zip(job.runner.layers, job.concepts, strict=False):
        run.writer.layer_concepts(job.label, layer.name, concepts)
    kernel = job.runner.trace.kernel(job.runner.layers[0])
    if kernel is not None and kernel.shape[1] == 3 and kernel[0, 0].numel() > 1:
        run.writer.filters(job.label, kernel.float().cpu().numpy())
