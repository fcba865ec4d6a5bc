"""Ablation scores of all units of a model, layer by layer; finished layers are kept until the store is complete."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shapebias.core.text import printable
from shapebias.precompute.ablation.cache import Ablated, AblationCache, Scores, digest
from shapebias.precompute.ablation.memory import bytes_to_use
from shapebias.precompute.ablation.units import Labelled, UnitAblation, accuracy_drop, shape_and_texture_scores
from shapebias.precompute.device import Device
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.measures.categories import category_mapping
from shapebias.precompute.measures.cue_conflict import CueConflict
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Engine
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ScoreTask:
    """Ablates the units of one layer; any process with the networks can run it.

    model, layer:  the model's number in the run, and the layer's index in the model
    image_set:     the listing of the images
    images:        the cue-conflict or labelled images in the listing that the network decides for
    """

    model: int
    layer: int
    image_set: ImageSet
    images: CueConflict | Labelled
    settings: Settings

    def __call__(self, runners: Sequence[Runner], device: Device, progress: Reporter) -> Ablated:
        """Return the scores of the layer's units, and how they were found: see `Ablated`.

        Raises ShapebiasError where the network fails or --memory is too small.
        """
        runner = runners[self.model]
        stream = Stream(self.image_set, self.settings, device, progress)
        layer = runner.layers[self.layer]
        ablation = UnitAblation(runner, layer, bytes_to_use(device, self.settings.memory))
        title = f"{runner.model.label}: ablation {self.layer + 1}/{len(runner.layers)}"
        if isinstance(self.images, Labelled):
            scores = accuracy_drop(ablation, f"{title}, accuracy", stream, self.images)
        else:
            mapping = category_mapping(runner, self.settings.categories)
            scores = shape_and_texture_scores(ablation, title, stream, self.images, mapping=mapping)
        share = ablation.check.share() if ablation.check.rows else None
        return Ablated(scores, ablation.why_whole, share, ablation.notes)

    def facts(self, runner: Runner) -> dict[str, Any]:
        """Return everything that the scores depend on, ready for JSON."""
        mapping = category_mapping(runner, self.settings.categories)
        facts = _facts(runner, mapping) | {"layer": asdict(runner.layers[self.layer])}
        root = printable(str(self.image_set.root), 4096)
        if isinstance(self.images, Labelled):
            return facts | {"root": root, "labelled": self.images.digest(self.image_set)}
        return facts | {"root": root, "stimuli": self.images.stimuli, "cue_conflict": _digest(self.images, runner)}


def score_units(
    runner: Runner, tasks: Sequence[ScoreTask], engine: Engine, cache: AblationCache
) -> Iterator[tuple[WatchedLayer, Scores]]:
    """Yield the layer of each of a model's tasks and the scores of its units, in order, once all tasks are done.

    Results of an interrupted run are taken from the cache. Notes on how the layers were ablated are added to the
    model's. Raises ShapebiasError where the network fails.
    """
    facts = [task.facts(runner) for task in tasks]
    kept = [
        cache.get(task_facts, runner.layers[task.layer].units) for task_facts, task in zip(facts, tasks, strict=True)
    ]
    missing = [number for number, cached in enumerate(kept) if cached is None]
    for number, ablated in engine.run_tasks([tasks[number] for number in missing]):
        cache.put(facts[missing[number]], ablated)
        kept[missing[number]] = ablated
    notes = _Notes(runner)
    for task, ablated in zip(tasks, kept, strict=True):
        assert ablated is not None
        layer = runner.layers[task.layer]
        notes.add(layer, ablated, isinstance(task.images, Labelled))
        yield layer, ablated.scores
    notes.finish()


class _Notes:
    """Collects how layers were ablated, for the model's notes."""

    def __init__(self, runner: Runner) -> None:
        self._notes = runner.model.notes
        self._split: list[str] = []
        self._checked: list[str] = []

    def add(self, layer: WatchedLayer, ablated: Ablated, again: bool) -> None:
        """Note how a layer was ablated. With `again`, where it was noted for other images, only new facts are noted."""
        self._notes += ablated.notes
        if again:
            return
        if ablated.why_whole is None:
            self._split.append(layer.name)
        else:
            self._notes.append(f"ablation of {printable(layer.name)} ran the whole network: {ablated.why_whole}")
        if ablated.in_float32 is not None:
            self._checked.append(f"{layer.name} {ablated.in_float32}")

    def finish(self) -> None:
        """Add the notes that concern several layers."""
        if self._split:
            names = printable(", ".join(self._split), 200)
            self._notes.append(f"ablation ran only the rest of the network behind {names}")
        if self._checked:
            shares = printable(", ".join(self._checked), 400)
            self._notes.append(
                f"ablation ran in bfloat16; decisions that were not certain were run again in float32: {shares}"
            )


def _facts(runner: Runner, mapping: dict[str, list[int]]) -> dict[str, Any]:
    """Return everything that all scores of a model depend on, ready for JSON; `mapping` is part of it."""
    return {
        "weights": runner.model.weights_sha256(),
        "preprocessing": runner.model.preprocessing.to_attributes(),
        "gpu": runner.device.gpu,
        "precision": runner.device.precision.name,
        "categories": mapping,
    }


def _digest(conflict: CueConflict, runner: Runner) -> str:
    """Return a digest of cue-conflict images and a model's decisions for them."""
    return digest(conflict.paths, conflict.shape, conflict.texture, conflict.decisions[runner.model.label])
