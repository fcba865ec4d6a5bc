"""Why a network is hardly ever right: the usual mistakes tried out, and the one named that mends it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.accuracy import is_better_than, is_near_chance
from shapebias.precompute.memory import OutOfMemoryError
from shapebias.precompute.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from shapebias.precompute.stages.run import ModelRun, Run

_AT_ONCE = 8  # few, since the device may have had no room for more
_MOST_IMAGES = 48  # that the network is shown anew
_CONSISTENT = 0.3  # of pairs of images of one class, how many get the same decision where only the order is wrong
_SCALES = {  # mean, std, and what to do where the network wants pixels so
    "ImageNet's mean and std": (IMAGENET_MEAN, IMAGENET_STD, "add ,preprocess=imagenet to its --model"),
    "no normalisation, pixels in [0, 1]": ((0.0,) * 3, (1.0,) * 3, "add ,preprocess=none to its --model"),
    "pixels in [-1, 1]": ((0.5,) * 3, (0.5,) * 3, "add ,preprocess=inception to its --model"),
    "pixels from 0 to 255": ((0.0,) * 3, (1 / 255,) * 3, "multiply its input by 255, with preprocess=none"),
}


@dataclass(frozen=True)
class Trial:
    """A way to feed a network other than its own: `name` says which, `remedy` what to do where it is right."""

    name: str
    remedy: str
    preprocessing: Preprocessing
    bgr: bool


def explain_near_chance(run: Run, model: ModelRun) -> str | None:
    """Return what is to be said of a model's accuracy: that it is near chance, and by which change it is not; or that
    another order of its classes fits better. None where there is nothing to say."""
    known = model.target >= 0
    count, outputs = int(known.sum()), model.runner.outputs
    if not count or not outputs or not len(model.decision):
        return None
    right = int((model.decision == model.target)[known].sum())
    near_chance = is_near_chance(right, count, 1 / outputs)
    said = f"the accuracy is near chance ({right:,} of {count:,} images)" if near_chance else ""
    if ordered := _other_order(run, model, right, count):
        return f"{said}: {ordered}" if said else ordered
    if not near_chance:
        return None
    with suppress(OutOfMemoryError):
        if fed := _fed_otherwise(run, model, np.flatnonzero(known)):
            return f"{said}: {fed}"
    if _is_consistent(model.decision[known], model.target[known]):
        return (
            f"{said}, but images of one class mostly get the same decision: its classes seem to be in another order; "
            "list them in that of its outputs, classes=FILE"
        )
    tried = "BGR, no normalisation, [-1, 1], 0 to 255" + (", another class order" if model.runner.match.orders else "")
    return (
        f"{said}, and not better with {tried}: are its weights trained, on these classes and in this order (else "
        "classes=FILE)?"
    )


def _other_order(run: Run, model: ModelRun, right: int, count: int) -> str | None:
    """Return what to say where the same decisions are right much more often under another order of the classes."""
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


def _fed_otherwise(run: Run, model: ModelRun, known: NDArray[np.int64]) -> str | None:
    """Return what to say where the network is right much more often with other input; `known`: images with labels."""
    rows = known[np.unique(np.linspace(0, len(known) - 1, min(_MOST_IMAGES, len(known))).astype(np.int64))]
    trials = list(_trials(model.runner.model.preprocessing))
    right = np.zeros(len(trials) + 1, np.int64)
    stream = run.stream(run.image_set)
    title = f"{model.label}: why its accuracy is near chance"
    for batch in stream.batches(title, model.runner.geometry, run.used[rows], batch_size=_AT_ONCE):
        target = model.target[rows[batch.positions]]
        right[-1] += int((model.decision[rows[batch.positions]] == target).sum())
        for number, trial in enumerate(trials):
            fed = replace(model.runner, model=replace(model.runner.model, preprocessing=trial.preprocessing))
            pixels = np.ascontiguousarray(batch.pixels[..., ::-1]) if trial.bgr else batch.pixels
            right[number] += int((fed.decide(fed.forward(pixels)) == target).sum())
    best = int(right[:-1].argmax())
    assert model.runner.outputs is not None
    if not is_better_than(int(right[best]), len(rows), max(right[-1] / len(rows), 1 / model.runner.outputs)):
        return None
    return (
        f"with {trials[best].name}, {right[best]} of {len(rows)} images are right instead of {right[-1]}: "
        f"{trials[best].remedy}"
    )


def _trials(own: Preprocessing) -> Iterator[Trial]:
    """Yield the other ways to feed a network: other normalisations, and each, its own too, with blue first."""
    flip = "let it flip its input's channels, x[:, [2, 1, 0]]"
    yield Trial("BGR input", flip, own, bgr=True)
    for name, (mean, std, remedy) in _SCALES.items():
        if not (np.allclose(mean, own.mean, atol=1e-3) and np.allclose(std, own.std, atol=1e-3)):
            changed = replace(own, mean=mean, std=std)
            yield Trial(name, remedy, changed, bgr=False)
            yield Trial(f"BGR input and {name}", f"{remedy}, and {flip}", changed, bgr=True)


def _is_consistent(decision: NDArray[np.int32], target: NDArray[np.int32]) -> bool:
    """Return whether two images of one class get the same decision much more often than any two images."""
    pairs = same = 0
    for output in np.unique(target):
        counts = np.unique(decision[target == output], return_counts=True)[1]
        pairs += int(counts.sum() * (counts.sum() - 1))
        same += int((counts * (counts - 1)).sum())
    shares = np.unique(decision, return_counts=True)[1] / len(decision)
    return pairs > 0 and same / pairs > max(_CONSISTENT, 2 * float((shares**2).sum()))
