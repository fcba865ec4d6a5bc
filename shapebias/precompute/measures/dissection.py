"""The dissection pass: which concept each unit detects (Network Dissection, Bau et al. 2017)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.concepts import LayerConcepts
from shapebias.precompute.images.annotations import Annotations, Labels
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Rows
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.overlap import Overlap
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.statistics.state import Inside, Part, prefixed

Thresholds = list[NDArray[np.float32]]  # of each layer, float32 [units]
Found = list[tuple[LayerConcepts, dict[str, NDArray[np.float32]]]]  # of each layer
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Thresholding:
    """Measures, of the models at `models`, every unit's T with P(a > T) = 0.005 over annotated images."""

    models: tuple[int, ...]
    annotations: Annotations
    seed: int

    def quantiles(self, runner: Runner, device: torch.device) -> list[Quantile]:
        """Empty ones of every layer."""
        images = len(self.annotations.images)
        return [
            Quantile(layer.units, layer.height * layer.width, images, device, seed=self.seed) for layer in runner.layers
        ]

    def start(self, runners: Sequence[Runner]) -> "ThresholdShard":
        return ThresholdShard(self, {model: runners[model] for model in self.models})

    def merge(self, model: int, runner: Runner, parts: Iterable[Mapping[str, NDArray[Any]]]) -> Thresholds:
        """The thresholds of a model's layers, of all shards."""
        total, one = self.quantiles(runner, CPU), self.quantiles(runner, CPU)
        for part in parts:
            for index, (mine, theirs) in enumerate(zip(total, one, strict=True)):
                theirs.restore(Inside(part, f"{model}.{index}"))
                mine.merge(theirs)
        return [each.result() for each in total]


class ThresholdShard:
    """What is measured of one shard."""

    def __init__(self, wanted: Thresholding, runners: dict[int, Runner]) -> None:
        self._annotations, self._runners = wanted.annotations, runners
        self._quantiles = {model: wanted.quantiles(runner, runner.device.device) for model, runner in runners.items()}
        self._rows = Rows()

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        pixels, _ = self._annotations.unpack(batch.pixels)
        self._rows.add(position=batch.positions)
        for model, runner in self._runners.items():

            def see(index: int, output: Tensor, layers: list[Quantile] = self._quantiles[model]) -> None:
                layers[index].update(Maps(output, batch.positions))

            runner.forward(pixels, see)

    def part(self) -> Part:
        """`position` of the images that could be read, and the quantiles' states."""
        return self._rows.part() | _states(self._quantiles)


@dataclass(frozen=True)
class Dissecting:
    """Measures, of the models at `models`, how units and concepts overlap; thresholds of each of them and layer."""

    models: tuple[int, ...]
    annotations: Annotations
    thresholds: list[Thresholds]

    def overlaps(self, model: int, device: torch.device) -> list[Overlap]:
        """Empty ones of every layer."""
        layers = self.thresholds[self.models.index(model)]
        return [Overlap(each, self.annotations.concepts, device) for each in layers]

    def start(self, runners: Sequence[Runner]) -> "DissectedShard":
        return DissectedShard(self, {model: runners[model] for model in self.models})

    def merge(self, model: int, parts: Iterable[Mapping[str, NDArray[Any]]]) -> Found:
        """For every layer of a model each unit's best concepts, and the metrics `iou` and `concept_diversity`."""
        total, one = self.overlaps(model, CPU), self.overlaps(model, CPU)
        for part in parts:
            for index, (mine, theirs) in enumerate(zip(total, one, strict=True)):
                theirs.restore(Inside(part, f"{model}.{index}"))
                mine.merge(theirs)
        return [_finish(each) for each in total]


class DissectedShard:
    """What is measured of one shard."""

    def __init__(self, wanted: Dissecting, runners: dict[int, Runner]) -> None:
        self._annotations, self._runners = wanted.annotations, runners
        self._overlaps = {model: wanted.overlaps(model, runner.device.device) for model, runner in runners.items()}

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        pixels, labels = self._annotations.unpack(batch.pixels)
        for model, runner in self._runners.items():
            count(runner, pixels, labels, self._overlaps[model])

    def part(self) -> Part:
        """The overlaps' states."""
        return _states(self._overlaps)


def count(runner: Runner, pixels: NDArray[np.uint8], labels: Labels, layers: list[Overlap]) -> None:
    """One forward; all its layers' counts."""
    runner.forward(pixels, lambda index, output: layers[index].update(Maps(output, np.arange(len(pixels))), labels))


def _states(of: Mapping[int, Sequence[Quantile | Overlap]]) -> Part:
    part: Part = {}
    for model, layers in of.items():
        for index, each in enumerate(layers):
            part |= prefixed(f"{model}.{index}", each.state())
    return part


def _finish(overlap: Overlap) -> tuple[LayerConcepts, dict[str, NDArray[np.float32]]]:
    found, diversity = overlap.result()
    return found, {"iou": found.score.astype(np.float32), "concept_diversity": diversity}
