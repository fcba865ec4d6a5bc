"""The third stage: the models' decisions for images that are unchanged, distorted, attacked, of another set, or have
two cues.
"""

from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from shapebias.core.imagenet import variant_of
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.variants import pair_by_name
from shapebias.precompute.measures.adversarial import AttackMeasure
from shapebias.precompute.measures.categories import class_ids, part_of_sixteen
from shapebias.precompute.measures.cue_conflict import CueConflict, decide_cue_conflict
from shapebias.precompute.measures.decisions import NOT_SHOWN, DecisionMeasure, read_decisions
from shapebias.precompute.measures.ood import OodSet, decide_ood
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Parts, Scan
from shapebias.precompute.stages.near_chance import explain_near_chance
from shapebias.precompute.stages.run import ModelRun, Run, Variant


def decide(run: Run) -> None:
    """Write the models' decisions into the store, and keep their accuracies.

    Those for clean and distorted images are known; those for attacked and stylized images, variants, cue-conflict
    images and sets of stimuli are computed as far as they are requested. Raises ShapebiasError where a network fails,
    or none of the images of a set can be used.
    """
    settings, inputs = run.settings, run.inputs
    for model in run.models:
        run.writer.decisions(model.label, model.decision, model.target, model.probe.probability)
        model.warning = explain_near_chance(run, model)
    if "distortions" in settings.passes:
        for model in run.models:
            _keep_distorted(run, model, model.changed)
    for model in run.models:
        if inputs.stylized is not None:
            _decide_stylized(run, model, inputs.stylized)
        if settings.attacks and (model.target >= 0).any():
            _attack(run, model)
        for name, variant in inputs.variants:
            _vary(run, model, name, variant)
    if inputs.conflicting is not None:
        image_set, skipped = inputs.conflicting
        run.cue_conflict = decide_cue_conflict(
            run.engine,
            [model.runner for model in run.models],
            image_set,
            skipped,
            file=settings.categories,
            stimuli_as=settings.stimuli,
        )
        run.writer.cue_conflict(run.cue_conflict)
        run.notes += _restriction(run, run.cue_conflict)
    if inputs.ood:
        run.writer.ood([_decide_set(run, name) for name in inputs.ood])


def _restriction(run: Run, conflict: CueConflict) -> list[str]:
    """Return one line on the categories that the models have and on the images left out, in a list.

    The list is empty unless the models have only some of the 16 categories.
    """
    part = part_of_sixteen(run.models[0].runner, run.settings.categories)
    if part is None:
        return []
    conflicting = int((conflict.shape != conflict.texture).sum())
    return [
        f"cue conflict: {part}: {conflicting:,} images of two of them, {conflict.others:,} images of others left out"
    ]


def _decide_set(run: Run, name: str) -> OodSet:
    """Return the models' decisions for the set of stimuli with this name; keep the accuracies and notes."""
    image_set, skipped = run.inputs.ood[name]
    settings, runners = run.settings, [model.runner for model in run.models]
    decided = decide_ood(
        run.engine, runners, image_set, skipped, name=name, file=settings.categories, stimuli_as=settings.stimuli
    )
    run.notes += decided.notes()
    for model in run.models:
        model.ood[name] = decided.of(model.label).accuracy(name)
    return decided


def _decide(
    run: Run,
    model: ModelRun,
    name: str,
    image_set: ImageSet,
    *,
    positions: NDArray[np.int64] | None = None,
    among: tuple[int, ...] | None = None,
) -> Parts:
    """Return a model's decisions for the images of another set, as parts that `read_decisions` reads.

    name:       that of the images, for the scan and the user
    positions:  which images of the set's listing; None: all
    among:      the outputs that the model decides among; None: all
    """
    scan = Scan(
        name=f"{quote(name, safe='')}-{model.label}",
        title=f"{model.label}: {name}",
        image_set=image_set,
        geometry=model.runner.geometry,
        measure=DecisionMeasure((model.number,), among=among),
        positions=positions,
    )
    return run.engine.run(scan)


def _decide_stylized(run: Run, model: ModelRun, stylized: ImageSet) -> None:
    rows, positions = pair_by_name(run.image_set, run.used, stylized)
    parts = _decide(run, model, "stylized", stylized, positions=positions)
    _, by_model = read_decisions(parts, len(positions), [model.number])
    decided = np.full(len(run.used), NOT_SHOWN, np.int32)
    if model.number in by_model:
        decided[rows] = by_model[model.number][:, 0]
    _keep_distorted(run, model, {"stylized": decided})


def _keep_distorted(run: Run, model: ModelRun, decisions: dict[str, NDArray[np.int32]]) -> None:
    """Write decisions, int32 [images used] by the names of distortions, and keep the accuracies in the model."""
    run.writer.distortions(model.label, decisions)
    for name, decided in decisions.items():
        counted = (model.target >= 0) & (decided >= 0)
        if counted.any():
            model.distorted[name] = float((decided == model.target)[counted].mean())


def _attack(run: Run, model: ModelRun) -> None:
    if run.device.with_gradients != run.device:
        model.runner.model.notes.append("attacked in float32: gradients underflow in float16")
    labelled = np.flatnonzero(model.target >= 0)
    measure = AttackMeasure(model.number, run.settings.attacks, run.used[labelled], model.target[labelled])
    scan = Scan(
        name=f"attacks-{model.label}",
        title=f"{model.label}: attacks",
        image_set=run.image_set,
        geometry=model.runner.geometry,
        measure=measure,
        positions=run.used[labelled],
    )
    right = np.zeros((len(run.settings.attacks), len(run.used)), bool)
    right[:, labelled] = measure.merge(run.scan_again(scan))
    run.writer.adversarial(model.label, run.settings.attacks, right)


def _vary(run: Run, model: ModelRun, name: str, image_set: ImageSet) -> None:
    among = own_classes(model.runner, image_set)
    if among is not None:
        model.runner.model.notes.append(
            f"{printable(name)} is decided among {among.name}'s {len(among.outputs)} classes"
        )
    parts = _decide(run, model, f"variant-{name}", image_set, among=None if among is None else among.outputs)
    seen, by_model = read_decisions(parts, len(image_set), [model.number])
    nothing = np.full((len(image_set), 1), NOT_SHOWN, np.int32)
    decided = by_model.get(model.number, nothing)[:, 0]
    model.variants.append(judge(name, decided, _targets(model.runner, run.image_set, image_set), seen))


class OwnClasses(NamedTuple):
    """A data set with a part of ImageNet's classes, and the outputs of these classes."""

    name: str
    outputs: tuple[int, ...]


def own_classes(runner: Runner, image_set: ImageSet) -> OwnClasses | None:
    """Return the outputs that a network decides among for ImageNet-R or -A, as published: those of their 200 classes.

    None for other images, and for a network that lacks one of the classes.
    """
    variant, ids = variant_of(image_set.source_names), class_ids(runner)
    if variant is None or ids is None or not set(variant[1]) <= set(ids):
        return None
    return OwnClasses(variant[0], tuple(ids.index(wnid) for wnid in variant[1]))


def _targets(runner: Runner, probe: ImageSet, image_set: ImageSet) -> NDArray[np.int32]:
    """Return the right output for every image of another set, int32 [images], -1 = none.

    The set's classes are named as those of the probe images.
    """
    index_of = {name: index for index, name in enumerate(probe.class_ids)}
    labels = [index_of.get(name, -1) for name in image_set.class_ids]
    outputs = np.array([labels[label] if label >= 0 else -1 for label in image_set.labels], np.int32)
    return runner.targets(outputs)


def judge(name: str, decided: NDArray[np.int32], targets: NDArray[np.int32], seen: NDArray[np.bool_]) -> Variant:
    """Return a model's result for a folder of variants.

    name:              the folder's name
    decided, targets:  int32 [images], the decisions and the right outputs (-1 = none)
    seen:              bool [images], which of the images could be used
    """
    decided_and_labelled = seen & (targets >= 0)
    return Variant(
        name=name,
        images=int(seen.sum()),
        labelled=int(decided_and_labelled.sum()),
        correct=int((decided == targets)[decided_and_labelled].sum()),
        skipped=int((~seen).sum()),
    )
