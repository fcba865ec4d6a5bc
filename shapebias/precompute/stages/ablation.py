"""The last stage: what every unit is responsible for."""

from shapebias.precompute.ablation.cache import AblationCache
from shapebias.precompute.ablation.scores import score_units
from shapebias.precompute.ablation.units import Labelled
from shapebias.precompute.stages.run import Run


def ablate(run: Run) -> None:
    """Find what every unit is responsible for, and write it into the store."""
    conflicting = run.inputs.conflicting
    if "ablation" not in run.settings.passes or conflicting is None or run.cue_conflict is None:
        return
    stream, cache = run.stream(conflicting[0]), AblationCache(run.writer.unfinished.ablation)
    for model in run.models:
        labelled = Labelled(run.stream(run.image_set), run.used, model.decision, model.target)
        scores_by_layer = score_units(
            model.runner,
            stream,
            run.cue_conflict,
            labelled if run.settings.ablate_accuracy and len(model.decision) else None,
            settings=run.settings,
            cache=cache,
        )
        for layer, scores in scores_by_layer:
            run.writer.metrics(model.label, layer.name, scores)
