"""The first scan: all statistics of every model on the probe images and their noisy versions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.device import Pixels
from shapebias.precompute.measures.activation import ActivationPass, LayerResult, LayerStatistics, StatisticsPlan
from shapebias.precompute.measures.noise import NoisyVariation, noisy_metrics
from shapebias.precompute.measures.thumbnails import Pictures
from shapebias.precompute.parts import Part, Section
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows
from shapebias.precompute.scanning.upload import DeviceBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import Statistic, merge_parts, to_part
from shapebias.precompute.statistics.variation import VariationResult
from shapebias.precompute.stopwatch import Stopwatch

CPU = torch.device("cpu")
_BRIGHTEST = "brightest"  # array of uint8 [usable images of the shard]: the largest value of any pixel of an image
_BLACK = 15  # an image is black where no pixel is brighter than this, of 255
# Kinds of arrays in a part.
_DECISION, _PROBABILITY, _EMBEDDING = "decision", "probability", "embedding"
_SECONDS, _STATISTICS = "seconds", "statistics"


@dataclass(frozen=True, kw_only=True)
class ProbeMeasure:
    """Measures models on the probe images.

    models:  the models' numbers in the run
    plan:    settings of the statistics
    labels:  int32 [images of the listing], -1 for none
    keys:    int64 [images of the listing]: see `image_keys`
    noises:  the distortions of the noisy versions, which come after the clean one
    kinds:   which activations of each image are kept: max, mean; the last layer's means are always kept, as embeddings
    """

    models: tuple[int, ...]
    plan: StatisticsPlan
    labels: NDArray[np.int32]
    keys: NDArray[np.int64]
    noises: tuple[str, ...]
    kinds: tuple[str, ...]

    def start(self, runners: Sequence[Runner]) -> "ProbeShard":
        """Return an empty measurement for one shard."""
        return ProbeShard(self, runners)

    def activations(self, part: Mapping[str, NDArray[Any]], model: int, layer: int) -> list[NDArray[np.float16]]:
        """Return the activations of a model's layer for the images of a part: float16 [images, units] for each kind.

        An empty list where the part has no image.
        """
        if POSITION not in part:
            return []
        return [part[Section(model, layer).name(kind)] for kind in self.kinds]

    def embeddings(
        self, parts: Iterable[Mapping[str, NDArray[Any]]], model: int
    ) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Yield for each part with images its embeddings by a model, float16 [images, size], and before them the index
        of its first image among those that could be used.
        """
        first = 0
        for part in parts:
            if POSITION in part:
                block = part[Section(model).name(_EMBEDDING)]
                yield first, block
                first += len(block)

    def black(self, parts: Iterable[Mapping[str, NDArray[Any]]]) -> NDArray[np.int64]:
        """Return the positions in the listing of black images, int64: those without a value above 15 of 255."""
        none = np.zeros(0, np.int64)
        return np.concatenate(
            [none, *(part[POSITION][part[_BRIGHTEST] <= _BLACK] for part in parts if POSITION in part)]
        )

    def merge(self, model: int, runner: Runner, parts: Iterable[Mapping[str, NDArray[Any]]]) -> "ProbeResult":
        """Return a model's results over all images, from the parts of all shards in order. They are merged on the CPU,
        wherever they were measured.
        """

        def empty() -> dict[str, Statistic[Maps, Any]]:
            layers = [LayerStatistics(layer, self.plan, CPU) for layer in runner.layers]
            return _by_name(model, layers, [NoisyVariation(runner, CPU) for _ in self.noises])

        merged = merge_parts(empty, parts)
        sections = [Section(model, index) for index in range(len(runner.layers))]
        layers: list[LayerResult] = [merged[section.name(_STATISTICS)].result() for section in sections]
        noisy: list[dict[str, NDArray[np.float32]]] = [{} for _ in layers]
        for number, noise in enumerate(self.noises):
            for section, layer, metrics in zip(sections, layers, noisy, strict=True):
                variation: VariationResult = merged[section.name(_noise(number))].result()
                metrics |= noisy_metrics(noise, variation.tv, layer.metrics["tv"])
        decisions, probabilities, seconds = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)], np.zeros(3)
        for part in parts:
            seconds = seconds + part[Section(model).name(_SECONDS)]
            if Section(model).name(_DECISION) in part:
                decisions.append(part[Section(model).name(_DECISION)])
                probabilities.append(part[Section(model).name(_PROBABILITY)])
        return ProbeResult(layers, noisy, np.concatenate(decisions), np.concatenate(probabilities), seconds)


@dataclass(frozen=True)
class ProbeResult:
    """A model's results over all probe images that could be used.

    layers:       the result of every layer; images in the top lists are positions in the listing
    noisy:        for every layer, the metrics on noisy images by name, float32 [units]
    decision:     int32 [images used], indices of outputs; empty where the network decides nothing
    probability:  float32 [images used], their softmax probabilities; empty likewise
    seconds:      float64 [3]: seconds of the pass and of the network alone, and the number of images in the latter
    """

    layers: list[LayerResult]
    noisy: list[dict[str, NDArray[np.float32]]]
    decision: NDArray[np.int32]
    probability: NDArray[np.float32]
    seconds: NDArray[np.float64]


def _noise(number: int) -> str:
    """Return the name in a part of a layer's noisy variation under the `number`-th noise."""
    return f"noise{number}"


def _by_name(
    model: int, layers: Sequence[LayerStatistics], noisy: Sequence[NoisyVariation]
) -> dict[str, Statistic[Maps, Any]]:
    """Return the running statistics of a model, for every layer and every noise, by their names in a part."""
    statistics: dict[str, Statistic[Maps, Any]] = {}
    for index, layer in enumerate(layers):
        statistics[Section(model, index).name(_STATISTICS)] = layer
    for number, variations in enumerate(noisy):
        for index, variation in enumerate(variations.layers):
            statistics[Section(model, index).name(_noise(number))] = variation
    return statistics


class ProbeShard:
    """The measurements of one shard of a scan of all images, so that positions are those in the listing."""

    def __init__(self, measure: ProbeMeasure, runners: Sequence[Runner]) -> None:
        self._measure = measure
        self._models = [_ModelShard(measure, model, runners[model]) for model in measure.models]
        self._positions = Rows()
        self._brightest: list[torch.Tensor] = []
        self._pictures = Pictures()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        labels = self._measure.labels[batch.positions].astype(np.int64)
        clean = batch.sent[:, 0] if self._measure.noises else batch.sent
        for model in self._models:
            model.feed(clean, batch.positions, labels, self._measure.keys[batch.positions])
            for version, noisy in enumerate(model.noisy, 1):
                noisy.run(batch.sent[:, version])
        self._positions.add({POSITION: batch.positions})
        self._brightest.append(clean.flatten(1).amax(1))
        self._pictures.feed(batch)

    def part(self) -> Part:
        """Return the positions, the pictures, and each model's results."""
        part = self._positions.part() | self._pictures.part()
        if self._brightest:  # on the device until now, so that no batch waits for it
            part[_BRIGHTEST] = torch.cat(self._brightest).cpu().numpy()
        for model in self._models:
            part |= model.part()
        return part


class _ModelShard:
    """The results of one model for one shard."""

    def __init__(self, measure: ProbeMeasure, model: int, runner: Runner) -> None:
        self._measure, self._model, self._runner = measure, model, runner
        self._activation = ActivationPass(runner.network, runner.layers, runner.device, measure.plan)
        self.noisy = [NoisyVariation(runner) for _ in measure.noises]
        self._rows = Rows()
        self._time = Stopwatch(runner.device.device)

    def feed(
        self,
        pixels: Pixels,
        positions: NDArray[np.int64],
        labels: NDArray[np.int64],
        keys: NDArray[np.int64],
    ) -> None:
        """Measure a batch of clean images uint8 [B, H, W, 3].

        positions (in the scan's listing), labels (-1 for none) and keys (see `image_keys`) are int64 [B].
        """
        runner, section = self._runner, Section(self._model)
        with runner.guarded(), self._time.running():
            activations = self._activation.run(runner.inputs(pixels), positions, labels, keys)
            decided, probability = runner.decide_with_probability(activations.output)
        if len(decided):
            self._rows.add({section.name(_DECISION): decided, section.name(_PROBABILITY): probability})
        self._rows.add({section.name(_EMBEDDING): activations.mean[-1]})
        for kind in self._measure.kinds:
            layers = {"max": activations.maximum, "mean": activations.mean}[kind]
            self._rows.add({Section(self._model, index).name(kind): values for index, values in enumerate(layers)})

    def part(self) -> Part:
        """Return what is kept of each image, row by row, the statistics' states, and the seconds."""
        part = self._rows.part() | to_part(_by_name(self._model, self._activation.statistics, self.noisy))
        speed = (self._time.seconds, self._activation.network_time.seconds, self._activation.network_images)
        return part | {Section(self._model).name(_SECONDS): np.array(speed, np.float64)}
