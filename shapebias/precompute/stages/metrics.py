"""The second stage: all metrics of every unit."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store import schema
from shapebias.core.text import printable
from shapebias.precompute.images.annotations import Annotations, annotate, annotated_images
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.measures.dissection import DissectionMeasure, ThresholdMeasure, Thresholds
from shapebias.precompute.measures.embedding import EmbeddingMeasure
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import used_positions
from shapebias.precompute.scanning.scan import Scan
from shapebias.precompute.stages.changes import measure_changes, named_images
from shapebias.precompute.stages.run import ModelRun, Run, none_can_be_used
from shapebias.precompute.statistics.diversity import class_diversity, mean_over_rulers, visual_diversity
from shapebias.precompute.statistics.variation import filter_smoothness


def finish_layers(run: Run) -> None:
    """Compute all metrics of every unit but the ablation scores, and write them into the store with the top images."""
    labels = run.image_set.labels[run.used]
    for model in run.models:
        model.metrics = [_metrics(model, index) for index in range(len(model.runner.layers))]
        if run.image_set.class_ids:
            for metrics, top in zip(model.metrics, model.top, strict=True):
                metrics["class_diversity"] = class_diversity(top.image, labels)
    _visual_diversity(run)
    for geometry, models in run.groups():
        measure_changes(run, geometry, models)
    if run.settings.dissects:
        for geometry, models in run.groups():
            _dissect(run, geometry, models)
    for model in run.models:
        _write_layers(run, model)


def _metrics(model: ModelRun, index: int) -> dict[str, NDArray[np.float32]]:
    """Return the metrics of a layer that need no further forward, float32 [units] by name."""
    metrics = dict(model.probe.layers[index].metrics)
    kernel = model.runner.trace.kernel(model.runner.layers[index])
    if kernel is not None:
        metrics["filter_smoothness"] = filter_smoothness(kernel.float().cpu().numpy())
    return metrics | model.probe.noisy[index]


def _visual_diversity(run: Run) -> None:
    """Compute visual diversity for all models with the same embeddings, and keep it in their `metrics`.

    The embeddings are by the last layer of every model, or by that of the network `--embedding`.
    """
    lists = [top.image for model in run.models for top in model.top]
    if run.settings.embedding is None:
        rulers = [model.runner for model in run.models]
        distances = [visual_diversity(lists, model.embeddings(), model.runner.layers[-1].units) for model in run.models]
    else:
        rulers = run.runners[-1:]
        distances = [_distances_by(run, rulers[0], lists)]
    by_layer = iter(mean_over_rulers(distances))
    for model in run.models:
        for metrics in model.metrics:
            metrics["visual_diversity"] = next(by_layer)
    run.writer.rulers(
        [
            schema.Ruler(
                label=ruler.model.label,
                source=printable(ruler.model.source),
                weights_sha256=ruler.model.weights_sha256(),
                layer=ruler.layers[-1].name,
            )
            for ruler in rulers
        ]
    )


def _distances_by(run: Run, ruler: Runner, lists: list[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
    """Return the visual diversity of units, float32 [units] for each layer, by a network that is no model of the store.

    lists: for each layer int64 [units, k], the units' top images, indices in the store, -1 = none. The network sees
    only these images.
    """
    named, rows = named_images(lists)
    measure = EmbeddingMeasure()
    scan = Scan(
        name="embedding",
        title=f"{ruler.model.label}: embeddings",
        image_set=run.image_set,
        geometry=ruler.geometry,
        measure=measure,
        positions=run.used[named],
        image_bytes=4 * ruler.layers[-1].units,
    )
    return visual_diversity(rows, measure.embeddings(run.scan_again(scan)), ruler.layers[-1].units)


def _dissect(run: Run, geometry: Geometry, models: list[ModelRun]) -> None:
    """Find the concepts that each unit detects, in the user's annotated images, else in the probe images.

    For the probe images the units' thresholds are known: their q995. The models prepare images in the same geometry.
    """
    broden, numbers = run.inputs.broden, tuple(model.number for model in models)
    if broden is not None:
        annotations = broden.annotations(geometry)
    else:
        annotations = annotate(annotated_images(run.image_set, run.settings.limit), geometry)
    if annotations.image_set is run.image_set:
        positions = run.used
        thresholds: list[Thresholds] = [[metrics["q995"] for metrics in model.metrics] for model in models]
    else:
        annotations, positions, thresholds = _find_thresholds(run, models, annotations)
    measure = DissectionMeasure(numbers, annotations, thresholds, run.settings.iou_area)
    parts = run.scan_again(_annotated_scan(run, "dissection", measure, positions))
    for model in models:
        layers = measure.merge(model.number, parts)
        model.concepts = [concepts for concepts, _ in layers]
        for metrics, (_, more) in zip(model.metrics, layers, strict=True):
            metrics |= more
    run.writer.concepts(annotations, len(positions), run.settings.iou_area)
    run.annotations = annotations


def _find_thresholds(
    run: Run, models: list[ModelRun], annotations: Annotations
) -> tuple[Annotations, NDArray[np.int64], list[Thresholds]]:
    """Return what is known of separate annotated images after a scan of them: annotations, positions, thresholds.

    The annotations have the images that could not be used among their `skipped`; the positions, int64, are those of the
    images that could be used; the thresholds over these images are of each model's units. Raises StartAgainError where
    no image can be used.
    """
    measure = ThresholdMeasure(tuple(model.number for model in models), annotations, run.settings.seed)
    parts = run.engine.run(_annotated_scan(run, "thresholds", measure, None))
    thresholds = [measure.merge(model.number, model.runner, parts) for model in models]
    positions = used_positions(parts)
    if not len(positions):
        raise none_can_be_used(annotations.image_set, parts.skipped, "annotated images")
    return replace(annotations, skipped=(*annotations.skipped, *parts.skipped)), positions, thresholds


def _annotated_scan(
    run: Run, name: str, measure: ThresholdMeasure | DissectionMeasure, positions: NDArray[np.int64] | None
) -> Scan:
    annotations = measure.annotations
    return Scan(
        name=f"{name}-{annotations.geometry.key}",
        title=f"{', '.join(run.models[number].label for number in measure.models)}: {name}",
        image_set=annotations.image_set,
        geometry=annotations.geometry,
        measure=measure,
        positions=positions,
        annotations=annotations,
    )


def _write_layers(run: Run, model: ModelRun) -> None:
    runner = model.runner
    layers = [
        schema.Layer(
            name=layer.name,
            module=layer.module,
            units=layer.units,
            map_height=layer.height,
            map_width=layer.width,
            left_out=result.left_out,
            ending=layer.ending,
        )
        for layer, result in zip(runner.layers, model.probe.layers, strict=True)
    ]
    run.writer.layers(model.label, layers, model.metrics, model.top)
    if model.concepts:
        run.writer.layer_concepts(model.label, model.concepts)
    kernel = runner.trace.kernel(runner.layers[0])
    if kernel is not None and kernel.shape[1] == 3 and kernel[0, 0].numel() > 1:
        run.writer.filters(model.label, kernel.float().cpu().numpy())
