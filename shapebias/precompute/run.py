"""`shapebias precompute` without its command line: images through networks into a store."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core import schema
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.device import Device, choose_device
from shapebias.precompute.images.decode import Geometry, fit_pixels
from shapebias.precompute.images.folder import ImageSet, Skipped, list_images
from shapebias.precompute.images.loader import Batch, Loader, default_workers
from shapebias.precompute.models.classes import outputs_of_classes
from shapebias.precompute.models.layers import Trace, WatchedLayer
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.passes.activation import ActivationPass
from shapebias.precompute.progress import Reporter
from shapebias.precompute.summary import ModelSummary, Summary
from shapebias.precompute.writer import ActivationsWriter, StoreWriter

_THUMBNAIL_CACHE = 64 << 20  # bytes of thumbnails kept from the pass; the others are decoded again at its end


@dataclass(frozen=True)
class Settings:
    """What the user asked for; see `shapebias precompute --help`."""

    models: list[ModelSpec]
    images: Path
    store: Path
    layers: str = "paper"
    top: int = 25
    limit: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    workers: int | None = None
    seed: int = 0
    overwrite: bool = False

    def to_attributes(self) -> dict[str, Any]:
        """As JSON, for the store."""
        return {
            "images": printable(str(self.images)),
            "layers": self.layers,
            "top": self.top,
            "limit": self.limit,
            "dtype": self.dtype,
            "seed": self.seed,
        }


@dataclass
class _Runner:
    """One model on its way through the images. `classes`: the output for every class of the images, -1 = none."""

    model: LoadedModel
    layers: list[WatchedLayer]
    activation: ActivationPass
    rows: list[ActivationsWriter]
    classes: NDArray[np.int64] | None = None
    outputs: int | None = None
    correct: int = 0
    labelled: int = 0
    seconds: float = field(default=0.0)

    @property
    def top1(self) -> float | None:
        return self.correct / self.labelled if self.labelled else None


def precompute(settings: Settings, progress: Reporter) -> Summary:
    """Passes the images through every model and commits the store. Raises ShapebiasError; then no store is left."""
    started = time.perf_counter()
    with StoreWriter(settings.store, settings.overwrite, settings.to_attributes()) as writer:
        device = choose_device(settings.device, settings.dtype)
        progress.stage("listing images")
        images, skipped = list_images(settings.images, settings.limit)
        progress.stage("loading models")
        models = [load_model(spec) for spec in settings.models]
        runners = [_prepare(model, images, writer, device, settings) for model in models]
        used: NDArray[np.int64] | None = None
        for geometry in dict.fromkeys(runner.model.preprocessing.geometry for runner in runners):
            group = [runner for runner in runners if runner.model.preprocessing.geometry == geometry]
            stream = _Stream(settings, images, geometry, device, progress)
            used = stream.run(group, used)
            skipped += stream.skipped
            progress.stage("writing the store")
            for runner in group:
                _write(runner, writer)
            named = np.unique(np.concatenate([_named(runner) for runner in group]))
            writer.thumbnails(geometry.key, stream.thumbnails(used, named))
        assert used is not None
        writer.images(images, used, skipped)
        size = writer.commit()
    return Summary(
        store=str(settings.store),
        store_bytes=size,
        device=str(device),
        images=len(used),
        seconds=time.perf_counter() - started,
        models=[_summary(runner, len(used)) for runner in runners],
        skipped=skipped,
    )


def _prepare(model: LoadedModel, images: ImageSet, writer: StoreWriter, device: Device, settings: Settings) -> _Runner:
    """Places the network, finds its layers by a small forward, makes its statistics."""
    network = device.place(model.network)
    geometry = model.preprocessing.geometry
    sample = np.full((2, geometry.crop, geometry.crop, 3), 128, np.uint8)
    try:
        with device.inference():
            trace = Trace(network, device.images(sample, model.preprocessing))
    except Exception as error:
        raise _forward_failed(model, error) from error
    layers = trace.choose(settings.layers)
    activation = ActivationPass(
        network, layers, device, settings.top, len(images), len(images.class_ids), settings.seed
    )
    rows = [writer.activations(model.label, layer.name, len(images), layer.units) for layer in layers]
    return _Runner(model, layers, activation, rows, _match_classes(model, trace.outputs, images), trace.outputs)


def _match_classes(model: LoadedModel, outputs: int | None, images: ImageSet) -> NDArray[np.int64] | None:
    if model.class_ids is not None and outputs is not None and len(model.class_ids) != outputs:
        raise UsageError(f"{model.label}: {len(model.class_ids)} classes are named, but the network has {outputs}")
    return outputs_of_classes(model.class_ids, outputs, images.class_ids)


def _forward_failed(model: LoadedModel, error: Exception) -> ShapebiasError:
    geometry = model.preprocessing.geometry
    reason = printable(f"{type(error).__name__}: {error}", 240)
    return ShapebiasError(
        f"{model.label} ({printable(model.source)}) fails on {geometry.crop} x {geometry.crop} images: {reason}"
    )


class _Stream:
    """The images of one geometry, decoded once, through the models that share it."""

    def __init__(
        self, settings: Settings, images: ImageSet, geometry: Geometry, device: Device, progress: Reporter
    ) -> None:
        self._images, self._geometry, self._device, self._progress = images, geometry, device, progress
        self._batch_size = settings.batch_size or (256 if device.is_cuda else 32)
        self._workers = default_workers() if settings.workers is None else settings.workers
        self._cache: dict[int, bytes] = {}
        self._room = _THUMBNAIL_CACHE
        self.skipped: list[Skipped] = []

    def run(self, runners: list[_Runner], expected: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Feeds every batch to every runner. Returns the positions of the images used, int64, ascending.

        `expected` are those that an earlier geometry used: the same images must still be readable.
        """
        names = ", ".join(runner.model.label for runner in runners)
        self._progress.stage(names, len(self._images))
        used: list[NDArray[np.int64]] = []
        count = done = 0
        with self._load(self._images.paths) as loader:
            for batch in loader:
                indices = np.arange(count, count + len(batch.positions))
                labels = self._images.labels[batch.positions].astype(np.int64)
                for runner in runners:
                    _feed(runner, batch, indices, labels, self._device)
                self._remember(batch)
                used.append(batch.positions)
                count += len(batch.positions)
                self._progress.advance(int(batch.positions[-1]) + 1 - done)
                done = int(batch.positions[-1]) + 1
            self._progress.advance(len(self._images) - done)
            self.skipped = loader.skipped
        if not used:
            reasons = ", ".join(dict.fromkeys(each.reason for each in self.skipped[:100]))
            raise ShapebiasError(
                f"none of the {len(self._images)} images in {printable(str(self._images.root))} can be used: {reasons}"
            )
        positions = np.concatenate(used)
        if expected is not None:
            self.skipped = []
            if not np.array_equal(positions, expected):
                raise ShapebiasError(
                    f"images in {printable(str(self._images.root))} changed during the run: start again"
                )
        return positions

    def _load(self, paths: list[bytes]) -> Loader:
        read = self._images.read
        decode = None if read is None else partial(fit_pixels, read=read, geometry=self._geometry)
        return Loader(self._images.root, paths, self._geometry, self._batch_size, self._workers, True, decode)

    def _remember(self, batch: Batch) -> None:
        for position, picture in zip(batch.positions, batch.thumbnails or [], strict=True):
            if len(picture) <= self._room:
                self._cache[int(position)] = picture
                self._room -= len(picture)

    def thumbnails(self, used: NDArray[np.int64], named: NDArray[np.int64]) -> dict[int, bytes]:
        """The encoded pictures of the images `named` (indices into `used`), by index."""
        missing = [int(index) for index in named if int(used[index]) not in self._cache]
        pictures = {int(index): self._cache[int(used[index])] for index in named if int(used[index]) in self._cache}
        if missing:
            self._progress.stage("thumbnails", len(missing))
            with self._load([self._images.paths[used[index]] for index in missing]) as loader:
                for batch in loader:
                    for position, picture in zip(batch.positions, batch.thumbnails or [], strict=True):
                        pictures[missing[int(position)]] = picture
                    self._progress.advance(len(batch.positions))
            if len(pictures) < len(named):
                raise ShapebiasError(
                    f"images in {printable(str(self._images.root))} changed during the run: start again"
                )
        return pictures


def _feed(runner: _Runner, batch: Batch, indices: NDArray[np.int64], labels: NDArray[np.int64], device: Device) -> None:
    start = time.perf_counter()
    try:
        inputs = device.images(batch.pixels, runner.model.preprocessing)
        seen = runner.activation.run(inputs, batch.positions, indices, labels)
    except torch.cuda.OutOfMemoryError as error:
        raise ShapebiasError(
            f"{runner.model.label} does not fit into GPU memory: try a smaller --batch-size"
        ) from error
    except Exception as error:  # the user's own code
        raise _forward_failed(runner.model, error) from error
    for rows, maximum, mean in zip(runner.rows, seen.maximum, seen.mean, strict=True):
        rows.append(maximum, mean)
    _score(runner, seen.output, labels)
    runner.seconds += time.perf_counter() - start


def _score(runner: _Runner, output: Tensor | None, labels: NDArray[np.int64]) -> None:
    """Counts correct top-1 decisions over the images whose class the network has."""
    if output is None or output.ndim != 2 or runner.classes is None:
        return
    wanted = np.full(len(labels), -1, np.int64)
    wanted[labels >= 0] = runner.classes[labels[labels >= 0]]
    decided = output.argmax(1).cpu().numpy()
    runner.correct += int((decided == wanted)[wanted >= 0].sum())
    runner.labelled += int((wanted >= 0).sum())


def _named(runner: _Runner) -> NDArray[np.int64]:
    """The images that any of the runner's top lists names."""
    images = [np.unique(statistics.top.image.cpu().numpy()) for statistics in runner.activation.statistics]
    every = np.unique(np.concatenate(images))
    return every[every >= 0]


def _write(runner: _Runner, writer: StoreWriter) -> None:
    """Everything the pass found out about a model."""
    model = runner.model
    for layer, rows, statistics in zip(runner.layers, runner.rows, runner.activation.statistics, strict=True):
        rows.close()
        facts = schema.Layer(layer.name, layer.module, layer.units, layer.height, layer.width)
        writer.layer(model.label, facts, statistics.metrics(), statistics.top_images())
    writer.model(
        schema.Model(
            label=model.label,
            architecture=model.architecture,
            source=printable(model.source),
            weights_sha256=model.weights_sha256(),
            preprocessing=model.preprocessing.to_attributes(),
            thumbnails=model.preprocessing.geometry.key,
            layers=[layer.name for layer in runner.layers],
            top1=runner.top1,
            parameters=model.parameters,
            file_sha256=model.file_sha256,
        )
    )


def _summary(runner: _Runner, images: int) -> ModelSummary:
    return ModelSummary(
        label=runner.model.label,
        architecture=runner.model.architecture,
        top1=runner.top1,
        chance=1 / runner.outputs if runner.outputs else None,
        layers=len(runner.layers),
        units=sum(layer.units for layer in runner.layers),
        images=images,
        images_per_second=images / runner.seconds,
        network_images_per_second=runner.activation.network_images / runner.activation.network_seconds,
        preprocessing=str(runner.model.preprocessing),
        labelled=runner.labelled,
        notes=runner.model.notes,
    )
