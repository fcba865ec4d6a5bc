"""The third stage: what the models decide for images as they are, changed, attacked, and of two cues."""

from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.variants import pair_by_name
from shapebias.precompute.measures.adversarial import Attacking
from shapebias.precompute.measures.cue_conflict import decide_cue_conflict
from shapebias.precompute.measures.decisions import NOT_SHOWN, Deciding, decisions_of
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Parts, Scan, by_image
from shapebias.precompute.stages.run import Job, Run, Variant


def decide(run: Run) -> None:
    """What the models decide: clean, distorted, attacked, for variants, for cue-conflict images."""
    settings, inputs = run.settings, run.inputs
    for job in run.jobs:
        run.writer.decisions(job.label, job.decision, job.target)
    if "distortions" in settings.passes:
        for geometry, jobs in run.groups():
            _distort(run, geometry, jobs)
    for job in run.jobs:
        if inputs.stylized is not None:
            _decide_stylized(run, job, inputs.stylized)
        if settings.attacks and (job.target >= 0).any():
            _attack(run, job)
        for name, variant in inputs.variants:
            _vary(run, job, name, variant)
    if inputs.conflicting is not None:
        images, skipped = inputs.conflicting
        found = decide_cue_conflict(run.engine, run.runners, images, skipped, settings.categories)
        run.writer.cue_conflict(found)
        run.cue_conflict = found


def _distort(run: Run, geometry: Geometry, jobs: list[Job]) -> None:
    names = run.settings.distortions
    numbers = tuple(job.number for job in jobs)
    title = f"{', '.join(job.label for job in jobs)}: distortions"
    measure = Deciding(numbers, names)
    scan = Scan(f"distortions-{geometry.key}", title, run.images, geometry, measure, run.used, names)
    found = decisions_of(run.scan_again(scan), len(run.used), numbers)
    for job in jobs:
        decided = dict(zip(names, found[job.number].T, strict=True)) if job.number in found else {}
        _keep_distorted(run, job, {name: each for name, each in decided.items() if (each != NOT_SHOWN).any()})


def _decide(run: Run, job: Job, name: str, images: ImageSet, positions: NDArray[np.int64] | None) -> Parts:
    title = f"{job.label}: {name}"
    where = f"{quote(name, safe='')}-{job.label}"
    return run.engine.run(Scan(where, title, images, job.runner.geometry, Deciding((job.number,)), positions))


def _decide_stylized(run: Run, job: Job, other: ImageSet) -> None:
    rows, positions = pair_by_name(run.images, run.used, other)
    found = decisions_of(_decide(run, job, "stylized", other, positions), len(positions), [job.number])
    decided = np.full(len(run.used), NOT_SHOWN, np.int32)
    if job.number in found:
        decided[rows] = found[job.number][:, 0]
    _keep_distorted(run, job, {"stylized": decided})


def _keep_distorted(run: Run, job: Job, decisions: dict[str, NDArray[np.int32]]) -> None:
    run.writer.distortions(job.label, decisions)
    for name, decided in decisions.items():
        shown = (job.target >= 0) & (decided >= 0)
        if shown.any():
            job.distorted[name] = float((decided == job.target)[shown].mean())


def _attack(run: Run, job: Job) -> None:
    known = np.flatnonzero(job.target >= 0)
    measure = Attacking(job.number, run.settings.attacks, run.used[known], job.target[known])
    scan = Scan(
        f"attacks-{job.label}",
        f"{job.label}: attacks",
        run.images,
        job.runner.geometry,
        measure,
        run.used[known],
    )
    found = by_image(run.scan_again(scan), len(known), ["right"])["right"]
    right = np.zeros((len(run.settings.attacks), len(run.used)), bool)
    right[:, known] = found.T > 0
    run.writer.adversarial(job.label, run.settings.attacks, right)


def _vary(run: Run, job: Job, name: str, images: ImageSet) -> None:
    parts = _decide(run, job, f"variant-{name}", images, None)
    found = by_image(parts, len(images), [str(job.number)] if job.runner.outputs is not None else [])
    nothing = np.full((len(images), 1), NOT_SHOWN, np.int32)
    decided = found.get(str(job.number), nothing)[:, 0]
    job.variants.append(judge(name, decided, _targets(job.runner, run.images, images), found["seen"]))


def _targets(runner: Runner, probe: ImageSet, images: ImageSet) -> NDArray[np.int32]:
    """The right output for every image of another set, whose classes are named as the probe images' are."""
    place = {name: index for index, name in enumerate(probe.class_ids)}
    labels = [place.get(name, -1) for name in images.class_ids]
    known = np.array([labels[label] if label >= 0 else -1 for label in images.labels], np.int32)
    return runner.targets(known)


def judge(name: str, decided: NDArray[np.int32], targets: NDArray[np.int32], seen: NDArray[np.bool_]) -> Variant:
    """How a model does on a folder's images: its decisions, the right output of each (-1 = none), int32 [images], and
    which of them could be used."""
    known = seen & (targets >= 0)
    correct = int((decided == targets)[known].sum())
    return Variant(name, int(seen.sum()), int(known.sum()), correct, int((~seen).sum()))
