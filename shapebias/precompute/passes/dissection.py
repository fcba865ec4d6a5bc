"""The dissection pass: which concept each unit detects (Network Dissection, Bau et al. 2017)."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.concepts import LayerConcepts
from shapebias.precompute.images.annotations import Annotations, Labels
from shapebias.precompute.runner import Runner
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.overlap import Overlap
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.stream import Stream

Thresholds = list[NDArray[np.float32]]  # of each layer, float32 [units]


def find_thresholds(
    runners: list[Runner], stream: Stream, annotations: Annotations
) -> tuple[list[Thresholds], NDArray[np.int64]]:
    """Every runner's T with P(a > T) = 0.005 over the annotated images, and the positions of those that can be read."""
    images, seed = len(annotations.images), stream.settings.seed
    quantiles = [
        [
            Quantile(layer.units, layer.height * layer.width, images, runner.device.device, seed=seed)
            for layer in runner.layers
        ]
        for runner in runners
    ]
    used = [np.zeros(0, np.int64)]
    for batch in stream.batches(_title(runners, "thresholds"), annotations.geometry, annotations=annotations):
        pixels, _ = annotations.unpack(batch.pixels)
        used.append(batch.positions)
        for runner, layers in zip(runners, quantiles, strict=True):

            def see(index: int, output: Tensor, layers: list[Quantile] = layers) -> None:
                layers[index].update(Maps(output, batch.positions))  # noqa: B023 (called in this turn)

            runner.forward(pixels, see)
    return [[each.result() for each in layers] for layers in quantiles], np.concatenate(used)


def dissect(
    runners: list[Runner],
    thresholds: list[Thresholds],
    stream: Stream,
    annotations: Annotations,
    positions: NDArray[np.int64],
) -> list[list[tuple[LayerConcepts, dict[str, NDArray[np.float32]]]]]:
    """For every runner (of one geometry) and layer each unit's best concepts, and the metrics `iou` and
    `concept_diversity`. thresholds: of every runner and layer; positions: of the images in the annotated set, which
    must be readable."""
    tallies = [
        [Overlap(each, annotations.concepts, runner.device.device) for each in layers]
        for runner, layers in zip(runners, thresholds, strict=True)
    ]
    title = _title(runners, "dissection")
    for batch in stream.batches(title, annotations.geometry, positions, annotations=annotations):
        pixels, labels = annotations.unpack(batch.pixels)
        for runner, layers in zip(runners, tallies, strict=True):
            count(runner, pixels, labels, layers)
    stream.check_unchanged(not stream.skipped)
    return [[_finish(each) for each in layers] for layers in tallies]


def count(runner: Runner, pixels: NDArray[np.uint8], labels: Labels, layers: list[Overlap]) -> None:
    """One forward; all its layers' counts."""
    runner.forward(pixels, lambda index, output: layers[index].update(Maps(output, np.arange(len(pixels))), labels))


def _finish(overlap: Overlap) -> tuple[LayerConcepts, dict[str, NDArray[np.float32]]]:
    found, diversity = overlap.result()
    return found, {"iou": found.score.astype(np.float32), "concept_diversity": diversity}


def _title(runners: Iterable[Runner], what: str) -> str:
    return f"{', '.join(runner.model.label for runner in runners)}: {what}"
