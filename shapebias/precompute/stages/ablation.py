"""The last stage: what every unit is responsible for."""

from shapebias.precompute.ablation.cache import AblationCache
from shapebias.precompute.ablation.scores import Labelled, score_units
from shapebias.precompute.stages.run import Run


def ablate(run: Run) -> None:
    """What every unit is responsible for, into the store."""
    conflicting = run.inputs.conflicting
    if "ablation" not in run.settings.passes or conflicting is None or run.cue_conflict is None:
        return
    stream, cache = run.stream(conflicting[0]), AblationCache(run.writer.workplace.ablation)
    for job in run.jobs:
        labelled = Labelled(run.stream(run.images), run.used, job.decision, job.target)
        counted = labelled if run.settings.ablate_accuracy and len(job.decision) else None
        for layer, scores in score_units(job.runner, stream, run.cue_conflict, counted, run.settings, cache):
            run.writer.metrics(job.label, layer.name, scores)
