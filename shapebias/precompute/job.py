"""One model in a run, and what the passes found out about it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shapebias.core.concepts import LayerConcepts
from shapebias.core.cue_conflict import score
from shapebias.core.shape_bias import bias_record
from shapebias.precompute.passes.cue_conflict import CueConflict
from shapebias.precompute.passes.variants import Variant
from shapebias.precompute.passes.watching import Watched
from shapebias.precompute.runner import Runner
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.summary import ModelSummary


@dataclass
class Job:
    """One model, the `number`-th of the run, and what the passes found out about it. The images in `top` are indices in
    the store."""

    number: int
    runner: Runner
    watched: Watched | None = None
    metrics: list[dict[str, NDArray[np.float32]]] = field(default_factory=list)  # of each layer
    top: list[TopKResult] = field(default_factory=list)  # of each layer
    concepts: list[LayerConcepts] = field(default_factory=list)  # of each layer
    target: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    variants: list[Variant] = field(default_factory=list)
    distorted: dict[str, float] = field(default_factory=dict)  # accuracy by distortion

    @property
    def label(self) -> str:
        return self.runner.model.label

    @property
    def found(self) -> Watched:
        """What the first scan found."""
        assert self.watched is not None
        return self.watched

    @property
    def decision(self) -> NDArray[np.int32]:
        """int32 [images used]; empty where the network decides nothing."""
        return self.found.decision

    @property
    def top1(self) -> float | None:
        known = self.target >= 0
        return float((self.decision == self.target)[known].mean()) if known.any() and len(self.decision) else None


def summarize(job: Job, images: int, cue_conflict: CueConflict | None) -> ModelSummary:
    """What the end of a run says about a model; `images`: how many were used."""
    runner = job.runner
    seconds, network_seconds, network_images = job.found.seconds
    return ModelSummary(
        label=job.label,
        architecture=runner.model.architecture,
        top1=job.top1,
        chance=1 / runner.outputs if runner.outputs else None,
        layers=len(runner.layers),
        units=sum(layer.units for layer in runner.layers),
        images=images,
        images_per_second=images / seconds,
        network_images_per_second=network_images / network_seconds,
        preprocessing=str(runner.model.preprocessing),
        labelled=int((job.target >= 0).sum()) if len(job.decision) else 0,
        notes=[*runner.model.notes, *_left_out(job)],
        shape_bias=None if cue_conflict is None else bias_record(score(cue_conflict.of(job.label))),
        distorted=job.distorted | {each.name: each.accuracy for each in job.variants if each.labelled},
    )


def _left_out(job: Job) -> list[str]:
    """What to tell of maps that held NaN or infinite values."""
    counts = {layer.name: each.left_out for layer, each in zip(job.runner.layers, job.found.statistics, strict=True)}
    return [
        f"{name}: {count:,} activation maps (of an image and a unit) held NaN or infinite values and were left out"
        for name, count in counts.items()
        if count
    ]
