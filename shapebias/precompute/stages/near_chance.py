"""Why a network's accuracy is near chance: tries the usual mistakes, and names the change that helps."""

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.accuracy import is_better_than, is_near_chance
from shapebias.precompute.measures.decisions import read_decisions
from shapebias.precompute.measures.trials import TrialMeasure, other_ways
from shapebias.precompute.scanning.scan import Scan
from shapebias.precompute.stages.run import ModelRun, Run

_MOST_IMAGES = 48  # number of images that the network sees again
_CONSISTENT = 0.3  # fraction of pairs of one class that get the same decision if only the order of classes is wrong


def explain_near_chance(run: Run, model: ModelRun) -> str | None:
    """Return a warning: that a model's accuracy is near chance and which change would help, or that another order of
    its classes fits better.

    None where there is nothing to warn of.
    """
    labelled = model.target >= 0
    count, outputs = int(labelled.sum()), model.runner.outputs
    if not count or not outputs or not len(model.decision):
        return None
    right = int((model.decision == model.target)[labelled].sum())
    near_chance = is_near_chance(right, count, 1 / outputs)
    start = f"the accuracy is near chance ({right:,} of {count:,} images)" if near_chance else ""
    if ordered := _other_order(run, model, right, count):
        return f"{start}: {ordered}" if start else ordered
    if not near_chance:
        return None
    if fed := _fed_otherwise(run, model, np.flatnonzero(labelled)):
        return f"{start}: {fed}"
    if _is_consistent(model.decision[labelled], model.target[labelled]):
        return (
            f"{start}, but images of one class mostly get the same decision: its classes seem to be in another order; "
            "list them in that of its outputs, classes=FILE"
        )
    tried = "BGR, no normalisation, [-1, 1], 0 to 255" + (", another class order" if model.runner.match.orders else "")
    return (
        f"{start}, and not better with {tried}: are its weights trained, on these classes and in this order (else "
        "classes=FILE)?"
    )


def _other_order(run: Run, model: ModelRun, right: int, count: int) -> str | None:
    """Return a warning where the same decisions are right much more often with another order of the classes; else None.

    `right` of `count` labelled images are right with the present order.
    """
    match, labels = model.runner.match, run.image_set.labels[run.used]
    right_in = {order: int((model.decision == match.targets(labels, order)).sum()) for order in match.orders}
    best = max(right_in, key=right_in.__getitem__, default=None)
    assert model.runner.outputs is not None
    if best is None or not is_better_than(right_in[best], count, max(right / count, 1 / model.runner.outputs)):
        return None
    return (
        f"with its classes {best}, {right_in[best]:,} of {count:,} images are right instead of {right:,}: list them in "
        "that order, classes=FILE"
    )


def _fed_otherwise(run: Run, model: ModelRun, labelled: NDArray[np.int64]) -> str | None:
    """Return a warning where the network is right much more often with other input; else None.

    known: int64, the indices in the store of the images that have a right output. Some of them are run again.
    """
    rows = labelled[np.unique(np.linspace(0, len(labelled) - 1, min(_MOST_IMAGES, len(labelled))).astype(np.int64))]
    trials = other_ways(model.runner.model.preprocessing)
    scan = Scan(
        name=f"trials-{model.label}",
        title=f"{model.label}: why its accuracy is near chance",
        image_set=run.image_set,
        geometry=model.runner.geometry,
        measure=TrialMeasure(model.number, trials),
        positions=run.used[rows],
    )
    _, decided = read_decisions(run.scan_again(scan), len(rows), [model.number])
    right = (decided[model.number] == model.target[rows, None]).sum(0)
    before, best = int((model.decision[rows] == model.target[rows]).sum()), int(right.argmax())
    assert model.runner.outputs is not None
    if not is_better_than(int(right[best]), len(rows), max(before / len(rows), 1 / model.runner.outputs)):
        return None
    return (
        f"with {trials[best].name}, {right[best]} of {len(rows)} images are right instead of {before}: "
        f"{trials[best].remedy}"
    )


def _is_consistent(decision: NDArray[np.int32], target: NDArray[np.int32]) -> bool:
    """Return whether two images of one class get the same decision much more often than two arbitrary images."""
    pairs = same = 0
    for output in np.unique(target):
        counts = np.unique(decision[target == output], return_counts=True)[1]
        pairs += int(counts.sum() * (counts.sum() - 1))
        same += int((counts * (counts - 1)).sum())
    shares = np.unique(decision, return_counts=True)[1] / len(decision)
    return pairs > 0 and same / pairs > max(_CONSISTENT, 2 * float((shares**2).sum()))
