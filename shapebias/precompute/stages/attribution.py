"""The attribution stage: maps of where every model looks in some of the images."""

import numpy as np
from numpy.typing import NDArray

from shapebias.core.attribution.scores import THRESHOLDS, TOLERANCE
from shapebias.core.store import schema
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.measures.attribution import VERSIONS, AttributionMeasure
from shapebias.precompute.scanning.scan import Scan
from shapebias.precompute.scoring.box_files import BoxFiles
from shapebias.precompute.scoring.curves import BLUR, GREY, SIGMA
from shapebias.precompute.scoring.objects import NO_BOXES, FoundBoxes, find_boxes
from shapebias.precompute.scoring.ranking import TIES
from shapebias.precompute.scoring.scoring import Scoring
from shapebias.precompute.settings import LABEL, Settings
from shapebias.precompute.stages.run import ModelRun, Run

_MAP_BYTES = 4 << 20  # approximate bytes of an image's maps by all methods


def choose_images(run: Run) -> None:
    """Set `run.explained` to the images that attribution explains, if it is requested.

    `run.used` must be known: only images that can be used are chosen.
    """
    settings = run.settings
    if "attribution" not in settings.passes:
        return
    labels = run.image_set.labels[run.used]
    by_label = settings.attribution_target == LABEL
    possible = np.flatnonzero(labels >= 0) if by_label else np.arange(len(labels))
    keys = _seeds(run, run.used[possible])
    run.explained = possible[evenly_over_classes(labels[possible], keys, settings.attribution_images)]
    if len(run.explained) < settings.attribution_images:
        few = f"{len(run.explained):,} images are explained, not {settings.attribution_images:,}"
        run.notes.append(f"{few}: there are no more{' with a label' if by_label else ''}")


def evenly_over_classes(labels: NDArray[np.int32], keys: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of at most `count` images, int64, ascending: equally many of each class, as far as it has so
    many.

    labels:  int32 [images]; the images without a class, -1, count as a class
    keys:    int64 [images]: those with the smallest keys are chosen in a class. Where there is no room for one more of
             every class, the classes whose next image has the smallest key get one.
    """
    order = np.lexsort((keys, labels))
    starts = np.flatnonzero(np.diff(labels[order], prepend=-2))
    rank = np.empty(len(labels), np.int64)  # rank of an image in its class
    rank[order] = np.arange(len(labels)) - np.repeat(starts, np.diff([*starts, len(labels)]))
    return np.sort(np.lexsort((keys, rank))[:count])


def _seeds(run: Run, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a seed for each image at these positions in the listing, int64.

    It depends only on the image's path and the run's seed, so that all models get the same random numbers.
    """
    return image_keys([run.image_set.paths[position] for position in positions], run.settings.seed)


def attribute(run: Run) -> None:
    """Compute every model's attribution maps of `run.explained`, with their scores, and write them into the store."""
    if not len(run.explained):
        return
    settings = run.settings
    boxes = _find_boxes(run)
    for model in run.models:
        _attribute(run, model, boxes)
    if any(model.attributed is not None for model in run.models):
        facts = schema.AttributionImages(
            target_rule=settings.attribution_target, seed=settings.seed, requested=settings.attribution_images
        )
        run.writer.attribution_images(facts, run.explained)


def _find_boxes(run: Run) -> FoundBoxes | None:
    """Return the boxes of the images that are explained; None where the user gives none."""
    if run.inputs.boxes is None:
        return None
    boxes = find_boxes(run.inputs.boxes, run.image_set.take(run.used[run.explained]))
    run.notes += boxes.notes
    return boxes


def _attribute(run: Run, model: ModelRun, boxes: FoundBoxes | None) -> None:
    """Compute and write a model's maps of `run.explained`; where it has no output to explain, only a note is added."""
    notes = model.runner.model.notes
    outputs = model.target if run.settings.attribution_target == LABEL else model.decision
    if model.runner.outputs is None or not len(outputs):
        notes.append("not explained: the network gives no class scores")
        return
    targets = outputs[run.explained]
    rows = np.flatnonzero(targets >= 0)
    if len(rows) < len(targets):
        notes.append(f"{len(targets) - len(rows):,} of {len(targets):,} images are not explained: no output is right")
    if not len(rows):
        return
    positions = run.used[run.explained[rows]]
    measure = AttributionMeasure(
        model.number,
        run.settings.attribution,
        targets[rows],
        seeds=_seeds(run, positions),
        scoring=_scoring(run, model, boxes, rows=rows, targets=targets),
    )
    scan = Scan(
        name=f"attribution-{model.label}",
        title=f"{model.label}: attribution",
        image_set=run.image_set,
        geometry=model.runner.geometry,
        measure=measure,
        positions=positions,
        versions=VERSIONS,
        image_bytes=_MAP_BYTES,
        costly=True,
    )
    model.attributed = measure.merge(run.scan_again(scan), rows, len(targets))
    run.writer.attribution(model.label, model.attributed)
    run.writer.map_scores(model.label, model.attributed.scores, _score_facts(run.settings, run.inputs.boxes))
    facts = model.attributed.method_facts
    notes += [f"{method} is left out: {reason}" for method, reason in facts.left_out.items()]
    notes += [
        f"{method} does not apply to this network: {other} replaces it" for method, other in facts.fallback.items()
    ]
    notes += [f"attribution: {note}" for note in facts.notes]


def _scoring(
    run: Run, model: ModelRun, boxes: FoundBoxes | None, *, rows: NDArray[np.int64], targets: NDArray[np.int32]
) -> Scoring:
    """Return how the maps of a model's images are scored.

    boxes:    those of `run.explained`; None where the user gives none
    rows:     int64, which of `run.explained` have an output to explain: only these are scored
    targets:  int32, the output to explain for each of `run.explained`, -1 = none
    """
    geometry, match = model.runner.geometry, model.runner.match
    placed = [NO_BOXES] * len(targets) if boxes is None else boxes.of_outputs(geometry, match, targets)
    right = model.target[run.explained] if len(model.target) else np.full(len(targets), -1)
    return Scoring(run.settings.attribution_steps, [placed[row] for row in rows.tolist()], (right == targets)[rows])


def _score_facts(settings: Settings, boxes: BoxFiles | None) -> schema.AttributionScores:
    return schema.AttributionScores(
        scores=[],
        steps=settings.attribution_steps,
        blur=[BLUR, SIGMA],
        grey=GREY,
        ties=TIES,
        tolerance=TOLERANCE,
        thresholds=list(THRESHOLDS),
        objects="masks" if boxes is None else printable(boxes.source, 4096),
    )
