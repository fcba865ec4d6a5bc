"""Ablation of all layers of a model: every unit's scores, layer by layer, kept until the store is whole."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.text import printable
from shapebias.precompute.ablation.cache import AblationCache, Scores, digest
from shapebias.precompute.ablation.units import UnitAblation, accuracy_drop, shape_and_texture_scores
from shapebias.precompute.measures.cue_conflict import CueConflict, category_mapping
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings


@dataclass(frozen=True)
class Labelled:
    """Images for `accuracy_drop`: `positions` int64 [images] in the stream's listing; what the model decides for them
    and what is right, int32 [images]."""

    stream: Stream
    positions: NDArray[np.int64]
    decision: NDArray[np.int32]
    target: NDArray[np.int32]


def score_units(
    runner: Runner,
    stream: Stream,
    found: CueConflict,
    labelled: Labelled | None,
    settings: Settings,
    cache: AblationCache,
) -> Iterator[tuple[WatchedLayer, Scores]]:
    """Every layer of a model with `shape_score`, `texture_score` and, with `labelled`, `accuracy_drop` of its units.

    `stream` has the cue-conflict images of `found`. Adds to the model's notes how its layers were ablated.
    """
    mapping = category_mapping(runner, settings.categories)
    model = runner.model
    facts = {
        "weights": model.weights_sha256(),
        "preprocessing": model.preprocessing.to_attributes(),
        "dtype": str(runner.device),
        "categories": mapping,
    }
    images = _images(stream, found, found.decisions[model.label])
    split: list[str] = []
    screened: list[str] = []
    for number, layer in enumerate(runner.layers, 1):
        ablation = UnitAblation(runner, layer, settings.memory * 1_000_000)
        if ablation.why_whole is None:
            split.append(layer.name)
        else:
            model.notes.append(f"ablation of {printable(layer.name)} ran the whole network: {ablation.why_whole}")
        title = f"{model.label}: ablation {number}/{len(runner.layers)}"
        where = facts | {"layer": asdict(layer)}
        scores = _kept(cache, where | images, layer, _cues(ablation, title, stream, found, mapping))
        if ablation.screen.rows:
            screened.append(f"{layer.name} {ablation.screen.share()}")
        if labelled is not None:
            seen = where | _labelled_images(labelled)
            scores = scores | _kept(cache, seen, layer, _accuracy(ablation, f"{title}, accuracy", labelled))
        yield layer, scores
    if split:
        names = printable(", ".join(split), 200)
        model.notes.append(f"ablation ran only the rest of the network behind {names}")
    if screened:
        shares = printable(", ".join(screened), 400)
        model.notes.append(f"ablation ran in bfloat16, and where that was not certain in float32: {shares}")


def _kept(cache: AblationCache, facts: dict[str, Any], layer: WatchedLayer, measure: Callable[[], Scores]) -> Scores:
    """What an interrupted run found out, or else `measure` does."""
    scores = cache.get(facts, layer.units)
    if scores is None:
        scores = measure()
        cache.put(facts, scores)
    return scores


def _cues(
    ablation: UnitAblation, title: str, stream: Stream, found: CueConflict, mapping: dict[str, list[int]]
) -> Callable[[], Scores]:
    return lambda: shape_and_texture_scores(ablation, title, stream, found, mapping)


def _accuracy(ablation: UnitAblation, title: str, labelled: Labelled) -> Callable[[], Scores]:
    return lambda: accuracy_drop(
        ablation, title, labelled.stream, labelled.positions, labelled.decision, labelled.target
    )


def _images(stream: Stream, found: CueConflict, decision: NDArray[np.int32]) -> dict[str, Any]:
    seen = digest(found.paths, found.shape, found.texture, decision)
    return {"root": printable(str(stream.images.root), 4096), "cue_conflict": seen}


def _labelled_images(labelled: Labelled) -> dict[str, Any]:
    paths = [labelled.stream.images.paths[position] for position in labelled.positions]
    root = printable(str(labelled.stream.images.root), 4096)
    return {"root": root, "labelled": digest(paths, labelled.decision, labelled.target)}
