"""What the stages of a run share."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.concepts import LayerConcepts
from shapebias.core.shape_bias.decisions import score
from shapebias.core.shape_bias.observers import bias_record
from shapebias.core.text import printable
from shapebias.precompute.device import Device
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.inputs import Inputs
from shapebias.precompute.measures.cue_conflict import CueConflict
from shapebias.precompute.measures.probe import Watched
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, by_geometry
from shapebias.precompute.scanning.scan import Engine, Parts, Scan
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.summary import ModelSummary
from shapebias.precompute.unfinished import StartAgainError
from shapebias.precompute.writer import StoreWriter


@dataclass(frozen=True)
class Variant:
    """What a model made of a folder's images: how many it decided, how many have a class it knows, how many it got."""

    name: str
    images: int
    labelled: int
    correct: int
    skipped: int

    @property
    def accuracy(self) -> float:
        """The fraction of the images with a known class that were right; NaN without any."""
        return self.correct / self.labelled if self.labelled else float("nan")

    def to_attributes(self) -> dict[str, Any]:
        """As JSON, for the store."""
        return asdict(self)


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


class Run:
    """A run's images, models and passes. `used` int64 [images]: the positions in the listing of those in the store."""

    def __init__(
        self,
        settings: Settings,
        progress: Reporter,
        writer: StoreWriter,
        inputs: Inputs,
        runners: list[Runner],
        engine: Engine,
        device: Device,
    ) -> None:
        self.settings, self.progress, self.writer, self.inputs = settings, progress, writer, inputs
        self.runners, self.engine, self.device = runners, engine, device
        self.images, self.skipped = inputs.images, list(inputs.skipped)
        self.jobs = [Job(number, runner) for number, runner in enumerate(runners)]
        self.used = np.zeros(0, np.int64)
        self.cue_conflict: CueConflict | None = None
        self.annotations: Annotations | None = None
        self.watched: Parts | None = None  # what the first scan gave for the first model and those of its geometry

    def groups(self) -> list[tuple[Geometry, list[Job]]]:
        """The models that share the decoding of images."""
        groups = by_geometry(self.runners)
        return [(geometry, [self.jobs[number] for number in numbers]) for geometry, numbers in groups.items()]

    def scan_again(self, scan: Scan) -> Parts:
        """As the engine does, of images that could be read before. Raises ShapebiasError where one is gone."""
        parts = self.engine.run(scan)
        self.check_unchanged(scan.images, not parts.skipped)
        return parts

    def stream(self, images: ImageSet) -> Stream:
        """Images of a set, for passes without shards."""
        return Stream(images, self.settings, self.device, self.progress)

    @staticmethod
    def check_unchanged(images: ImageSet, same: bool) -> None:
        """Raises StartAgainError unless `same`."""
        if not same:
            raise StartAgainError(f"images in {printable(str(images.root))} changed during the run: start again")


def none_can_be_used(images: ImageSet, skipped: Sequence[Skipped], what: str = "images") -> StartAgainError:
    """What to raise then."""
    reasons = ", ".join(dict.fromkeys(each.reason for each in skipped[:100]))
    return StartAgainError(f"none of the {len(images)} {what} in {printable(str(images.root))} can be used: {reasons}")


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
