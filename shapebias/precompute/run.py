"""`shapebias precompute` without its command line: images through networks into a store, pass by pass."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapebias.core import schema
from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.ablation_cache import AblationCache
from shapebias.precompute.device import Device, choose_device
from shapebias.precompute.images.annotations import Annotations, annotate, annotated_images
from shapebias.precompute.images.broden import Broden, read_broden
from shapebias.precompute.images.decode import Geometry
from shapebias.precompute.images.folder import ImageSet
from shapebias.precompute.images.source import find_images
from shapebias.precompute.job import Job, summarize
from shapebias.precompute.models.load import load_model
from shapebias.precompute.passes.activation import ActivationPass
from shapebias.precompute.passes.adversarial import attack_images
from shapebias.precompute.passes.cue_conflict import CueConflict, decide_cue_conflict, label_images
from shapebias.precompute.passes.dissection import dissect, find_thresholds
from shapebias.precompute.passes.distortions import decide_distorted
from shapebias.precompute.passes.diversity import class_diversity, visual_diversity
from shapebias.precompute.passes.sensitivity import measure
from shapebias.precompute.passes.smoothness import NoisyVariation
from shapebias.precompute.passes.variants import decide_variant, find_variants, pair_by_name
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, prepare
from shapebias.precompute.settings import Settings
from shapebias.precompute.statistics.variation import filter_smoothness
from shapebias.precompute.stream import Stream
from shapebias.precompute.summary import Summary
from shapebias.precompute.thumbnails import Thumbnails
from shapebias.precompute.unit_scores import Labelled, score_units
from shapebias.precompute.writer import StoreWriter


def precompute(settings: Settings, progress: Reporter) -> Summary:
    """Passes the images through every model and commits the store. Raises ShapebiasError; then no store is left."""
    started = time.perf_counter()
    with StoreWriter(settings.store, settings.overwrite, settings.to_attributes()) as writer:
        run = _Run(settings, progress, writer)
        run.watch()
        run.finish_layers()
        run.decide()
        run.ablate()
        run.write_models()
        size = writer.commit()
        AblationCache(writer.path).clear()
    return Summary(
        store=str(settings.store),
        store_bytes=size,
        device=str(run.device),
        images=len(run.used),
        seconds=time.perf_counter() - started,
        models=[summarize(job, len(run.used), run.cue_conflict) for job in run.jobs],
        skipped=run.skipped,
        annotation=[] if run.annotations is None else run.annotations.notes(),
    )


class _Run:
    """A run's images, models and passes. `used` int64 [images]: the positions in the listing of those in the store."""

    def __init__(self, settings: Settings, progress: Reporter, writer: StoreWriter) -> None:
        self.settings, self.progress, self.writer = settings, progress, writer
        self.device: Device = choose_device(settings.device, settings.dtype)
        progress.stage("listing images")
        self.images, self.skipped = find_images(settings.images, settings.limit)
        self._conflicting = None if settings.cue_conflict is None else find_images(settings.cue_conflict)
        self._stylized = None if settings.stylized is None else find_images(settings.stylized)[0]
        self._variants = [
            found
            for name, folder in settings.variants
            for found in find_variants(name, Path(folder), self.images.class_ids)
        ]
        self._broden: Broden | None = None if settings.broden is None else read_broden(settings.broden, settings.limit)
        progress.stage("loading models")
        models = [load_model(spec) for spec in settings.models]
        runners = [prepare(model, self.images, self.device, settings.layers) for model in models]
        if self._stylized is not None:  # mistakes are found before the long passes
            pair_by_name(self.images, np.arange(len(self.images)), self._stylized)
        if self._conflicting is not None:
            label_images(runners, self._conflicting[0], settings.categories)
        self.jobs = [self._job(runner) for runner in runners]
        self.stream = self._stream(self.images)
        self.used = np.zeros(0, np.int64)
        self.cue_conflict: CueConflict | None = None
        self.annotations: Annotations | None = None

    def _job(self, runner: Runner) -> Job:
        settings, images = self.settings, self.images
        activation = ActivationPass(
            runner.network, runner.layers, self.device, settings.top, len(images), len(images.class_ids), settings.seed
        )
        rows = [
            self.writer.activations(runner.model.label, layer.name, len(images), layer.units) for layer in runner.layers
        ]
        return Job(runner, activation, rows, [NoisyVariation(runner, noise) for noise in settings.noises])

    def _stream(self, images: ImageSet) -> Stream:
        return Stream(images, self.settings, self.device, self.progress)

    def _groups(self) -> list[tuple[Geometry, list[Job]]]:
        """The models that share the decoding of images."""
        geometries = dict.fromkeys(job.runner.geometry for job in self.jobs)
        return [(each, [job for job in self.jobs if job.runner.geometry == each]) for each in geometries]

    def watch(self) -> None:
        """The images, and their noisy versions, through every model; the statistics are then known."""
        for number, (geometry, jobs) in enumerate(self._groups()):
            thumbnails = Thumbnails()
            used = self._watch_group(geometry, jobs, thumbnails)
            if number == 0:
                self.used = used
                self.skipped += self.stream.skipped
            self.stream.check_unchanged(np.array_equal(used, self.used))
            for job in jobs:
                job.target = job.runner.targets(self.images.labels[used])
                job.top = [statistics.top_images() for statistics in job.activation.statistics]
            named = np.unique(np.concatenate([top.image.ravel() for job in jobs for top in job.top]))
            pictures = thumbnails.pictures(self.stream, geometry, used, named[named >= 0])
            self.writer.thumbnails(geometry.key, pictures)
        self.progress.stage("writing the store")
        self.writer.images(self.images, self.used, self.skipped)

    def _watch_group(self, geometry: Geometry, jobs: list[Job], thumbnails: Thumbnails) -> NDArray[np.int64]:
        names = ("clean", *self.settings.noises) if self.settings.noises else None
        used: list[NDArray[np.int64]] = []
        count = 0
        title = ", ".join(job.label for job in jobs)
        for batch in self.stream.batches(title, geometry, names=names, thumbnails=True):
            indices = np.arange(count, count + len(batch.positions))
            labels = self.images.labels[batch.positions].astype(np.int64)
            clean = batch.pixels if names is None else batch.pixels[:, 0]
            for job in jobs:
                _feed(job, clean, batch.positions, indices, labels)
                for version, noisy in enumerate(job.noisy, 1):
                    noisy.run(batch.pixels[:, version])
            thumbnails.remember(batch)
            used.append(batch.positions)
            count += len(batch.positions)
        if not used:
            reasons = ", ".join(dict.fromkeys(each.reason for each in self.stream.skipped[:100]))
            shown = printable(str(self.images.root))
            raise ShapebiasError(f"none of the {len(self.images)} images in {shown} can be used: {reasons}")
        return np.concatenate(used)

    def finish_layers(self) -> None:
        """Every metric of every unit, into the store."""
        labels = self.images.labels[self.used]
        for job in self.jobs:
            for rows in job.rows:
                rows.close()
            job.metrics = [self._metrics(job, index) for index in range(len(job.runner.layers))]
            if self.images.class_ids:
                for metrics, top in zip(job.metrics, job.top, strict=True):
                    metrics["class_diversity"] = class_diversity(top.image, labels)
        self._visual_diversity()
        if "sensitivity" in self.settings.passes:
            for job in self.jobs:
                images, values = [top.image for top in job.top], [top.value for top in job.top]
                for metrics, found in zip(
                    job.metrics, measure(job.runner, self.stream, self.used, images, values), strict=True
                ):
                    metrics |= found
        if self.settings.dissects:
            for geometry, jobs in self._groups():
                self._dissect(geometry, jobs)
        for job in self.jobs:
            self._write_layers(job)

    def _dissect(self, geometry: Geometry, jobs: list[Job]) -> None:
        """Which concept each unit detects in annotated images, else in the probe images, whose q995 is known."""
        runners = [job.runner for job in jobs]
        if self._broden is not None:
            annotations = self._broden.annotations(geometry)
        else:
            annotations = annotate(annotated_images(self.images, self.settings.limit), geometry)
        if annotations.images is self.images:
            stream, positions = self.stream, self.used
            thresholds = [[metrics["q995"] for metrics in job.metrics] for job in jobs]
        else:
            stream = self._stream(annotations.images)
            thresholds, positions = find_thresholds(runners, stream, annotations)
            annotations = replace(annotations, skipped=(*annotations.skipped, *stream.skipped))
            if not len(positions):
                raise ShapebiasError(
                    f"none of the {len(annotations.images)} annotated images can be used: "
                    f"{', '.join(dict.fromkeys(each.reason for each in stream.skipped[:100]))}"
                )
        found = dissect(runners, thresholds, stream, annotations, positions)
        for job, layers in zip(jobs, found, strict=True):
            job.concepts = [concepts for concepts, _ in layers]
            for metrics, (_, more) in zip(job.metrics, layers, strict=True):
                metrics |= more
        self.writer.concepts(annotations, len(positions))
        self.annotations = annotations

    def _metrics(self, job: Job, index: int) -> dict[str, NDArray[np.float32]]:
        """The metrics of a layer that need no further forward."""
        metrics = job.activation.statistics[index].metrics()
        kernel = job.runner.trace.kernel(job.runner.layers[index])
        if kernel is not None:
            metrics["filter_smoothness"] = filter_smoothness(kernel.float().cpu().numpy())
        for noisy in job.noisy:
            metrics |= noisy.metrics(index, metrics["tv"])
        return metrics

    def _visual_diversity(self) -> None:
        """By one ruler for all models: the last layer of the first model."""
        last = self.jobs[0].rows[-1]
        for job in self.jobs:
            found = visual_diversity([top.image for top in job.top], last.blocks("mean"), last.units)
            for metrics, each in zip(job.metrics, found, strict=True):
                metrics["visual_diversity"] = each

    def _write_layers(self, job: Job) -> None:
        for layer, metrics, top, statistics in zip(
            job.runner.layers, job.metrics, job.top, job.activation.statistics, strict=True
        ):
            facts = schema.Layer(layer.name, layer.module, layer.units, layer.height, layer.width, statistics.left_out)
            self.writer.layer(job.label, facts, metrics, top)
        for layer, concepts in zip(job.runner.layers, job.concepts, strict=False):
            self.writer.layer_concepts(job.label, layer.name, concepts)
        kernel = job.runner.trace.kernel(job.runner.layers[0])
        if kernel is not None and kernel.shape[1] == 3 and kernel[0, 0].numel() > 1:
            self.writer.filters(job.label, kernel.float().cpu().numpy())

    def decide(self) -> None:
        """What the models decide: clean, distorted, attacked, for variants, for cue-conflict images."""
        settings = self.settings
        for job in self.jobs:
            self.writer.decisions(job.label, job.decision, job.target)
        if "distortions" in settings.passes:
            self._distort()
        if self._stylized is not None:
            self._decide_stylized(self._stylized)
        for job in self.jobs:
            if settings.attacks and (job.target >= 0).any():
                right = attack_images(job.runner, self.stream, self.used, job.target, settings.attacks)
                self.writer.adversarial(job.label, settings.attacks, right)
        for name, variant in self._variants:
            self._vary(name, variant)
        if self._conflicting is not None:
            images, skipped = self._conflicting
            runners = [job.runner for job in self.jobs]
            found = decide_cue_conflict(runners, self._stream(images), skipped, settings.categories)
            self.writer.cue_conflict(found)
            self.cue_conflict = found

    def _distort(self) -> None:
        for _, jobs in self._groups():
            runners = [job.runner for job in jobs]
            found = decide_distorted(runners, self.stream, self.used, self.settings.distortions)
            for job, decisions in zip(jobs, found, strict=True):
                self._keep_distorted(job, decisions)

    def _decide_stylized(self, other: ImageSet) -> None:
        rows, positions = pair_by_name(self.images, self.used, other)
        stream = self._stream(other)
        for job in self.jobs:
            decided = np.full(len(self.used), -1, np.int32)
            for batch in stream.batches(f"{job.label}: stylized", job.runner.geometry, positions):
                each = job.runner.decide(job.runner.forward(batch.pixels))
                if len(each):
                    decided[rows[batch.positions]] = each
            self._keep_distorted(job, {"stylized": decided})

    def _keep_distorted(self, job: Job, decisions: dict[str, NDArray[np.int32]]) -> None:
        self.writer.distortions(job.label, decisions)
        for name, decided in decisions.items():
            shown = (job.target >= 0) & (decided >= 0)
            if shown.any():
                job.distorted[name] = float((decided == job.target)[shown].mean())

    def _vary(self, name: str, images: ImageSet) -> None:
        stream = self._stream(images)
        for job in self.jobs:
            targets = _targets(job.runner, self.images, images)
            job.variants.append(decide_variant(job.runner, name, stream, targets))

    def ablate(self) -> None:
        """What every unit is responsible for, into the store."""
        if "ablation" not in self.settings.passes or self._conflicting is None or self.cue_conflict is None:
            return
        stream, cache = self._stream(self._conflicting[0]), AblationCache(self.writer.path)
        for job in self.jobs:
            labelled = Labelled(self.stream, self.used, job.decision, job.target)
            counted = labelled if self.settings.ablate_accuracy and len(job.decision) else None
            for layer, scores in score_units(job.runner, stream, self.cue_conflict, counted, self.settings, cache):
                self.writer.metrics(job.label, layer.name, scores)

    def write_models(self) -> None:
        """The facts of every model."""
        for job in self.jobs:
            model = job.runner.model
            self.writer.model(
                schema.Model(
                    label=model.label,
                    architecture=model.architecture,
                    source=printable(model.source),
                    weights_sha256=model.weights_sha256(),
                    preprocessing=model.preprocessing.to_attributes(),
                    thumbnails=model.preprocessing.geometry.key,
                    layers=[layer.name for layer in job.runner.layers],
                    top1=job.top1,
                    parameters=model.parameters,
                    file_sha256=model.file_sha256,
                    variants=[variant.to_attributes() for variant in job.variants],
                )
            )


def _feed(
    job: Job,
    pixels: NDArray[np.uint8],
    positions: NDArray[np.int64],
    indices: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> None:
    """A batch through the activation pass."""
    runner = job.runner
    start = time.perf_counter()
    with runner.guarded():
        seen = job.activation.run(runner.inputs(pixels), positions, indices, labels)
        decided = runner.decide(seen.output)
    for rows, maximum, mean in zip(job.rows, seen.maximum, seen.mean, strict=True):
        rows.append(maximum, mean)
    if len(decided):
        job.decisions.append(decided)
    job.seconds += time.perf_counter() - start


def _targets(runner: Runner, probe: ImageSet, images: ImageSet) -> NDArray[np.int32]:
    """The right output for every image of another set, whose classes are named as the probe images' are."""
    place = {name: index for index, name in enumerate(probe.class_ids)}
    labels = [place.get(name, -1) for name in images.class_ids]
    known = np.array([labels[label] if label >= 0 else -1 for label in images.labels], np.int32)
    return runner.targets(known)
