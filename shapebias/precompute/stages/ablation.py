"""The last stage: which decisions depend on each unit."""

from functools import partial

from shapebias.precompute.ablation.cache import AblationCache
from shapebias.precompute.ablation.scores import ScoreTask, score_units
from shapebias.precompute.ablation.units import Labelled
from shapebias.precompute.stages.run import ModelRun, Run


def ablate(run: Run) -> None:
    """Compute every unit's ablation scores and write them into the store, if the pass is requested."""
    if "ablation" not in run.settings.passes or run.inputs.conflicting is None or run.cue_conflict is None:
        return
    cache = AblationCache(run.writer.unfinished.ablation)
    for model in run.models:
        for layer, scores in score_units(model.runner, _tasks(run, model), run.engine, cache):
            run.writer.metrics(model.label, layer.name, scores)


def _tasks(run: Run, model: ModelRun) -> list[ScoreTask]:
    """Return the tasks for a model's layers: for cue-conflict images and, where requested, for labelled ones."""
    assert run.inputs.conflicting is not None
    assert run.cue_conflict is not None
    conflicting = partial(ScoreTask, image_set=run.inputs.conflicting[0], images=run.cue_conflict)
    kinds = [conflicting]
    if run.settings.ablate_accuracy and len(model.decision):
        labelled = Labelled(run.used, model.decision, model.target)
        kinds.append(partial(ScoreTask, image_set=run.image_set, images=labelled))
    return [
        kind(model=model.number, layer=layer, settings=run.settings)
        for layer in range(len(model.runner.layers))
        for kind in kinds
    ]
