"""The results of models for changed images: their decisions, and their units' sensitivities."""

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.measures.changes import ChangeMeasure
from shapebias.precompute.measures.decisions import NOT_SHOWN, read_decisions
from shapebias.precompute.measures.sensitivity import sensitivities
from shapebias.precompute.scanning.scan import Scan
from shapebias.precompute.stages.run import ModelRun, Run


def measure_changes(run: Run, geometry: Geometry, models: list[ModelRun]) -> None:
    """Run every changed version of the images through the models once, as far as the passes need it.

    The decisions by distortion are kept in each model's `changed`, the units' sensitivities in its `metrics`. The
    models prepare images in the same `geometry`.
    """
    distorts, loses = (name in run.settings.passes for name in ("distortions", "sensitivity"))
    if not (distorts or loses):
        return
    names = run.settings.distortions if distorts else ()
    lists = {model.number: [top.image for top in model.top] for model in models} if loses else {}
    rows = np.arange(len(run.used))
    if not distorts:  # only images that appear in top lists
        rows, joined = named_images([image for images in lists.values() for image in images])
        remaining = iter(joined)
        lists = {model: [next(remaining) for _ in images] for model, images in lists.items()}
    numbers = tuple(model.number for model in models)
    measure = ChangeMeasure(models=numbers, distortions=names, lists=lists)
    scan = Scan(
        name=f"changes-{geometry.key}",
        title=f"{', '.join(model.label for model in models)}: changed images",
        image_set=run.image_set,
        geometry=geometry,
        measure=measure,
        positions=run.used[rows],
        versions=measure.versions,
    )
    parts = run.scan_again(scan)
    _, decided = read_decisions(parts, len(rows), numbers)
    for model in models:
        if model.number in decided:
            by_name = dict(zip(names, decided[model.number].T, strict=True))
            model.changed = {name: decisions for name, decisions in by_name.items() if (decisions != NOT_SHOWN).any()}
        if loses:
            values = [top.value for top in model.top]
            losses_by_layer = sensitivities(parts, model.number, lists[model.number], values)
            for metrics, losses in zip(model.metrics, losses_by_layer, strict=True):
                metrics |= losses


def named_images(lists: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the images that top lists name, int64, ascending, and the lists with indices into these; -1 stays."""
    named = np.unique(np.concatenate([image.ravel() for image in lists]))
    named = named[named >= 0]
    return named, [np.where(image >= 0, np.searchsorted(named, image), -1) for image in lists]
