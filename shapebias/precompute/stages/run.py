"""The state of a run that all stages share."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.concepts import LayerConcepts
from shapebias.core.shape_bias.decisions import score
from shapebias.core.shape_bias.observers import bias_record
from shapebias.core.store.schema import SCORES
from shapebias.core.text import printable
from shapebias.precompute.device import Device
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.inputs import Inputs
from shapebias.precompute.measures.attribution import Attributed
from shapebias.precompute.measures.cue_conflict import CueConflict
from shapebias.precompute.measures.probe import ProbeResult
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, by_geometry
from shapebias.precompute.scanning.scan import Engine, Parts, Scan
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings
from shapebias.precompute.statistics.diversity import Embeddings
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.summary import ModelSummary
from shapebias.precompute.unfinished import StartAgainError
from shapebias.precompute.writer import StoreWriter


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A model's result for a folder of variants.

    images:    number of images it decided for
    labelled:  how many of them have a class that it knows
    correct:   how many it classified correctly
    skipped:   how many could not be used
    """

    name: str
    images: int
    labelled: int
    correct: int
    skipped: int

    @property
    def accuracy(self) -> float:
        """The fraction of the labelled images that were classified correctly; NaN without any."""
        return self.correct / self.labelled if self.labelled else float("nan")

    def to_attributes(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON, for the store."""
        return asdict(self)


@dataclass(kw_only=True)
class ModelRun:
    """One model of a run, and its results so far.

    number:        the model's number in the run
    probe_result:  the results of the first scan, None before it
    embeddings:    yields the embeddings of every image: the means of the last layer's maps
    metrics:       for each layer, the metrics of its units by name, float32 [units]
    top:           for each layer, the top lists of its units; images are indices in the store
    concepts:      for each layer, the concepts that its units detect; empty where nothing was dissected
    target:        int32 [images used], the right outputs, -1 for none
    variants:      the results for folders of variants
    warning:       what is wrong with the accuracy, None where nothing is
    changed:       decisions for distorted images, int32 [images used] by distortion, -1 where there is no such version
    distorted:     accuracy by distortion, as fractions
    attributed:    the attribution maps, once they are computed
    ood:           accuracy by set of stimuli, as fractions
    """

    number: int
    runner: Runner
    probe_result: ProbeResult | None = None
    embeddings: Embeddings = field(default=lambda: iter(()))
    metrics: list[dict[str, NDArray[np.float32]]] = field(default_factory=list)
    top: list[TopKResult] = field(default_factory=list)
    concepts: list[LayerConcepts] = field(default_factory=list)
    target: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    variants: list[Variant] = field(default_factory=list)
    changed: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    distorted: dict[str, float] = field(default_factory=dict)
    ood: dict[str, float] = field(default_factory=dict)
    warning: str | None = None
    attributed: Attributed | None = None

    @property
    def label(self) -> str:
        """The model's label."""
        return self.runner.model.label

    @property
    def probe(self) -> ProbeResult:
        """The results of the first scan, which must be finished."""
        assert self.probe_result is not None
        return self.probe_result

    @property
    def decision(self) -> NDArray[np.int32]:
        """The model's decisions, int32 [images used]; empty where the network decides nothing."""
        return self.probe.decision

    @property
    def classes(self) -> str:
        """The rule by which the images' classes have outputs, or why no image has a right output."""
        match = self.runner.match
        return "no image has a label" if self.top1 is None and match.outputs is not None else match.rule

    @property
    def top1(self) -> float | None:
        """The fraction of the labelled images that the model classifies correctly; None without any."""
        labelled = self.target >= 0
        return float((self.decision == self.target)[labelled].mean()) if labelled.any() and len(self.decision) else None


class Run:
    """The images, models and results of a run.

    used:          int64 [images], the positions in the listing of the images in the store
    explained:     int64, the indices in the store of the images that attribution explains
    runners:       those of the models, followed by that of `--embedding`, if there is one
    skipped:       the probe images that are left out, with the reasons
    cue_conflict:  the models' decisions for cue-conflict images, once they are computed
    annotations:   those of the last dissection; None without one
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Inputs,
        runners: list[Runner],
        engine: Engine,
        *,
        writer: StoreWriter,
        device: Device,
        progress: Reporter,
    ) -> None:
        self.settings, self.progress, self.writer, self.inputs = settings, progress, writer, inputs
        self.runners, self.engine, self.device = runners, engine, device
        self.image_set, self.skipped = inputs.image_set, list(inputs.skipped)
        self.models = [
            ModelRun(number=number, runner=runner) for number, runner in enumerate(runners[: len(settings.models)])
        ]
        self.used = self.explained = np.zeros(0, np.int64)
        self.notes = list(inputs.image_set.notes)  # lines for the user about the images
        self.cue_conflict: CueConflict | None = None
        self.annotations: Annotations | None = None

    def groups(self) -> list[tuple[Geometry, list[ModelRun]]]:
        """Return the groups of models that can share decoded images, each with the geometry that they have."""
        groups = by_geometry([model.runner.geometry for model in self.models])
        return [(geometry, [self.models[number] for number in numbers]) for geometry, numbers in groups.items()]

    def scan_again(self, scan: Scan) -> Parts:
        """Return the parts of a scan of images that could be read before.

        Raises StartAgainError where one of them cannot be read now, ShapebiasError where a network fails.
        """
        parts = self.engine.run(scan)
        self.check_unchanged(scan.image_set, not parts.skipped)
        return parts

    def stream(self, image_set: ImageSet) -> Stream:
        """Return a stream of a set's images, for passes without shards."""
        return Stream(image_set, self.settings, self.device, self.progress)

    @staticmethod
    def check_unchanged(image_set: ImageSet, same: bool) -> None:
        """Raise StartAgainError where `same` is false: where other images can be used than earlier in the run.

        `image_set` is the set that the error's text names.
        """
        if not same:
            raise StartAgainError(f"images in {printable(str(image_set.root))} changed during the run: start again")


def none_can_be_used(image_set: ImageSet, skipped: Sequence[Skipped], kind: str = "images") -> StartAgainError:
    """Return the error for a set of which no image can be used, with the reasons; `kind` names its images."""
    root, reasons = printable(str(image_set.root)), ", ".join(dict.fromkeys(image.reason for image in skipped[:100]))
    return StartAgainError(f"none of the {len(image_set)} {kind} in {root} can be used: {reasons}")


def summarize(model_run: ModelRun, image_count: int, cue_conflict: CueConflict | None) -> ModelSummary:
    """Return the summary of a model; `image_count` is the number of probe images that were used."""
    runner = model_run.runner
    seconds, network_seconds, network_images = model_run.probe.seconds
    variants = {variant.name: variant.accuracy for variant in model_run.variants if variant.labelled}
    return ModelSummary(
        label=model_run.label,
        architecture=runner.model.architecture,
        top1=model_run.top1,
        chance=1 / runner.outputs if runner.outputs else None,
        layers=len(runner.layers),
        units=sum(layer.units for layer in runner.layers),
        images=image_count,
        images_per_second=image_count / seconds,
        network_images_per_second=network_images / network_seconds,
        preprocessing=str(runner.model.preprocessing),
        labelled=int((model_run.target >= 0).sum()) if len(model_run.decision) else 0,
        classes=model_run.classes,
        warning=model_run.warning,
        notes=[*runner.match.notes, *runner.model.notes, *_left_out(model_run), *_undecided(model_run)],
        shape_bias=None if cue_conflict is None else bias_record(score(cue_conflict.of(model_run.label))),
        distorted=model_run.distorted | variants,
        attribution=_attribution(model_run),
        ood=model_run.ood,
    )


def _attribution(model_run: ModelRun) -> dict[str, Any] | None:
    """Return how many images were explained for a model, and the seconds that each method took; None for no maps."""
    attributed = model_run.attributed
    if attributed is None:
        return None
    names = [*(method.name for method in attributed.methods), SCORES]
    seconds = {name: attributed.method_facts.seconds[name] for name in names}
    return {"images": len(attributed.rows), "seconds": seconds}


def _undecided(model_run: ModelRun) -> list[str]:
    """Return one line per layer about units whose concept could not be decided."""
    layers = zip(model_run.runner.layers, model_run.concepts, strict=False)  # no concepts without dissection
    return [
        f"{layer.name}: {concepts.undecided.sum():,} of {layer.units:,} units are undecided: their threshold is their "
        "maximum (saturated or dead), so they fire nowhere"
        for layer, concepts in layers
        if concepts.undecided.any()
    ]


def _left_out(model_run: ModelRun) -> list[str]:
    """Return one line per layer about maps that held NaN or infinite values."""
    layers = zip(model_run.runner.layers, model_run.probe.layers, strict=True)
    return [
        f"{layer.name}: {result.left_out:,} activation maps (of an image and a unit) held NaN or infinite values and "
        "were left out"
        for layer, result in layers
        if result.left_out
    ]
