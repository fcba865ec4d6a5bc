"""Ablation of all layers of a model: every unit's scores, layer by layer, kept until the store is whole."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from shapebias.core.text import printable
from shapebias.precompute.ablation.cache import AblationCache, Scores, digest
from shapebias.precompute.ablation.units import Labelled, UnitAblation, accuracy_drop, shape_and_texture_scores
from shapebias.precompute.measures.cue_conflict import CueConflict, category_mapping
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings


def score_units(
    runner: Runner,
    stream: Stream,
    conflict: CueConflict,
    labelled: Labelled | None,
    *,
    settings: Settings,
    cache: AblationCache,
) -> Iterator[tuple[WatchedLayer, Scores]]:
    """Yield every layer of a model with `shape_score`, `texture_score` and, with `labelled`, `accuracy_drop` of its
    units.

    `stream` has the cue-conflict images of `conflict`. Adds to the model's notes how its layers were ablated.
    """
    mapping = category_mapping(runner, settings.categories)
    facts = _facts(runner, mapping)
    conflict_facts = _conflict_facts(stream, conflict, runner.model.label)
    notes = _Notes(runner)
    for number, layer in enumerate(runner.layers, 1):
        ablation = UnitAblation(runner, layer, settings.memory * 1_000_000)
        notes.add_way(ablation)
        title = f"{runner.model.label}: ablation {number}/{len(runner.layers)}"
        layer_facts = facts | {"layer": asdict(layer)}
        measure = partial(shape_and_texture_scores, ablation, title, stream, conflict, mapping=mapping)
        scores = _kept(cache, layer_facts | conflict_facts, layer, measure)
        notes.add_check(ablation)
        if labelled is not None:
            measure = partial(accuracy_drop, ablation, f"{title}, accuracy", labelled)
            scores = scores | _kept(cache, layer_facts | _labelled_facts(labelled), layer, measure)
        yield layer, scores
    notes.finish()


class _Notes:
    """Tells the user, in the model's notes, how its layers were ablated."""

    def __init__(self, runner: Runner) -> None:
        self._notes = runner.model.notes
        self._split: list[str] = []
        self._checked: list[str] = []

    def add_way(self, ablation: UnitAblation) -> None:
        """Note whether only the network behind a layer is run."""
        name = ablation.layer.name
        if ablation.why_whole is None:
            self._split.append(name)
        else:
            self._notes.append(f"ablation of {printable(name)} ran the whole network: {ablation.why_whole}")

    def add_check(self, ablation: UnitAblation) -> None:
        """Note what was decided in bfloat16, once a layer's cue-conflict images are done."""
        if ablation.check.rows:
            self._checked.append(f"{ablation.layer.name} {ablation.check.share()}")

    def finish(self) -> None:
        """Add what is noted of several layers at once."""
        if self._split:
            names = printable(", ".join(self._split), 200)
            self._notes.append(f"ablation ran only the rest of the network behind {names}")
        if self._checked:
            shares = printable(", ".join(self._checked), 400)
            self._notes.append(f"ablation ran in bfloat16, and where that was not certain in float32: {shares}")


def _kept(cache: AblationCache, facts: dict[str, Any], layer: WatchedLayer, measure: Callable[[], Scores]) -> Scores:
    """Return what an interrupted run found out, or else what `measure` does, which is then kept."""
    scores = cache.get(facts, layer.units)
    if scores is None:
        scores = measure()
        cache.put(facts, scores)
    return scores


def _facts(runner: Runner, mapping: dict[str, list[int]]) -> dict[str, Any]:
    """Return what all scores of a model depend on, as JSON."""
    return {
        "weights": runner.model.weights_sha256(),
        "preprocessing": runner.model.preprocessing.to_attributes(),
        "dtype": str(runner.device),
        "categories": mapping,
    }


def _conflict_facts(stream: Stream, conflict: CueConflict, model: str) -> dict[str, Any]:
    """Return what identifies cue-conflict images, and a model's decisions for them."""
    content = digest(conflict.paths, conflict.shape, conflict.texture, conflict.decisions[model])
    return {"root": _root(stream), "cue_conflict": content, "stimuli": conflict.stimuli}


def _labelled_facts(labelled: Labelled) -> dict[str, Any]:
    """Return what identifies labelled images, and a model's decisions for them."""
    paths = [labelled.stream.image_set.paths[position] for position in labelled.positions]
    return {"root": _root(labelled.stream), "labelled": digest(paths, labelled.decision, labelled.target)}


def _root(stream: Stream) -> str:
    return printable(str(stream.image_set.root), 4096)
