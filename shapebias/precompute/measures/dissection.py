"""The dissection pass: the concept that each unit detects (Network Dissection, Bau et al. 2017)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.concepts import LayerConcepts
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.parts import Part, Section
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows
from shapebias.precompute.scanning.upload import DeviceBatch
from shapebias.precompute.statistics.image_batch import CPU, ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.overlap import AnnotatedMaps, Overlap, ShownConcepts
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.statistics.statistic import merge_parts, to_part

Thresholds = list[NDArray[np.float32]]  # thresholds of each layer, float32 [units]
# A layer's best concepts, and the metrics computed from overlaps, float32 [units] by name.
LayerDissection = tuple[LayerConcepts, dict[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class ThresholdMeasure:
    """Measures every unit's threshold T with P(a > T) = 0.005 over annotated images.

    `models` are the numbers of the models in the run; `seed` is that of the quantiles' samples.
    """

    models: tuple[int, ...]
    annotations: Annotations
    seed: int

    def quantiles(self, model: int, runner: Runner, device: torch.device) -> dict[str, Quantile]:
        """Return an empty quantile for every layer, in order, by its name in a part."""
        image_count = len(self.annotations.image_set)
        return {
            str(Section(model, index)): Quantile(layer.units, layer.height * layer.width, image_count, device)
            for index, layer in enumerate(runner.layers)
        }

    def start(self, runners: Sequence[Runner]) -> "ThresholdShard":
        """Return an empty measurement for one shard."""
        return ThresholdShard(self, {model: runners[model] for model in self.models})

    def merge(self, model: int, runner: Runner, parts: Iterable[Mapping[str, NDArray[Any]]]) -> Thresholds:
        """Return the thresholds of a model's layers over all shards; `model` is its number in the run."""
        merged = merge_parts(lambda: self.quantiles(model, runner, CPU), parts)
        return [quantile.result() for quantile in merged.values()]


class ThresholdShard:
    """The measurements of one shard."""

    def __init__(self, measure: ThresholdMeasure, runners: dict[int, Runner]) -> None:
        self._annotations, self._runners, self._seed = measure.annotations, runners, measure.seed
        self._quantiles = {
            model: measure.quantiles(model, runner, runner.device.device) for model, runner in runners.items()
        }
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        self._rows.add({POSITION: batch.positions})
        for model, runner in self._runners.items():
            layers = list(self._quantiles[model].values())
            draws = [draw for layer in layers for draw in layer.draws]
            images = ImageBatch(batch.positions, seed=self._seed, draws=draws, device=runner.device.device)

            def see(index: int, output: Tensor, layers: list[Quantile] = layers, images: ImageBatch = images) -> None:
                layers[index].update(Maps(output, images, paired=False))

            runner.forward(batch.sent[:, 0], see)

    def part(self) -> Part:
        """Return the positions of the images that could be read, and the quantiles' states."""
        part = self._rows.part()
        for quantiles in self._quantiles.values():
            part |= to_part(quantiles)
        return part


@dataclass(frozen=True)
class DissectionMeasure:
    """Measures how units and concepts overlap in annotated images.

    models:      the numbers of the models in the run
    thresholds:  for each of these models, in order, the thresholds of its layers
    iou_area:    one of IOU_AREAS: see `Overlap`
    """

    models: tuple[int, ...]
    annotations: Annotations
    thresholds: list[Thresholds]
    iou_area: str

    def overlaps(self, model: int, device: torch.device) -> dict[str, Overlap]:
        """Return an empty overlap for every layer, in order, by its name in a part."""
        return {
            str(Section(model, index)): Overlap(threshold, self.annotations.concepts, device, self.iou_area)
            for index, threshold in enumerate(self.thresholds[self.models.index(model)])
        }

    def start(self, runners: Sequence[Runner]) -> "DissectionShard":
        """Return an empty measurement for one shard."""
        return DissectionShard(self, {model: runners[model] for model in self.models})

    def merge(self, model: int, parts: Iterable[Mapping[str, NDArray[Any]]]) -> list[LayerDissection]:
        """Return each unit's best concepts, and the metrics `iou` and `concept_diversity`, for a model's layers."""
        layers: list[LayerDissection] = []
        for overlap in merge_parts(lambda: self.overlaps(model, CPU), parts).values():
            concepts, diversity = overlap.result()
            layers.append((concepts, {"iou": concepts.score.astype(np.float32), "concept_diversity": diversity}))
        return layers


class DissectionShard:
    """The measurements of one shard."""

    def __init__(self, measure: DissectionMeasure, runners: dict[int, Runner]) -> None:
        self._annotations, self._runners = measure.annotations, runners
        self._device = next(iter(runners.values())).device.device  # all runners have the same device
        self._overlaps = {model: measure.overlaps(model, runner.device.device) for model, runner in runners.items()}

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        concepts = ShownConcepts.of(self._annotations.labels(batch.pixels), self._device)
        for model, runner in self._runners.items():
            layers = list(self._overlaps[model].values())

            def see(index: int, output: Tensor, layers: list[Overlap] = layers) -> None:
                layers[index].update(AnnotatedMaps(Maps(output), concepts))

            runner.forward(batch.sent[:, 0], see)

    def part(self) -> Part:
        """Return the states of the overlaps."""
        part: Part = {}
        for overlaps in self._overlaps.values():
            part |= to_part(overlaps)
        return part
