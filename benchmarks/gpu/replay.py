"""Section B: the same activations into the statistics of the CPU and of the device, by way of the measures of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.gpu.setup import Record, Setup
from shapebias.core.concepts import PUBLISHED, Concepts
from shapebias.precompute.device import CPU, Device
from shapebias.precompute.images.annotations import Annotations, LabelledImage
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.labels import Match
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.measures.activation import LayerResult, StatisticsPlan
from shapebias.precompute.measures.dissection import DissectionMeasure, LayerDissection, ThresholdMeasure, Thresholds
from shapebias.precompute.measures.probe import ProbeMeasure, ProbeResult
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.load import LoadedModel
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Measure
from shapebias.precompute.scanning.upload import on_device
from shapebias.precompute.statistics.topk import TopKResult

TOP, CLASSES = 25, 8
EXACT = ("max", "q995", "sparsity", "tied")
CLOSE = 1e-5
_SIDE, _CROP = 28, 64  # of annotations; of the images that nobody looks at

Maps = list[NDArray[np.float32]]  # of each layer, [images, units, h, w]


def activation_maps(layers: tuple[tuple[int, int], ...], images: int) -> Maps:
    """Return maps like a network's, most values 0, with what is rare there in every layer: a dead unit, one that is
    saturated, one with NaN or infinite values, one far from 0, a negative one, a constant one."""
    rng = np.random.default_rng(0)
    maps = []
    for units, side in layers:
        values = rng.standard_normal((images, units, side, side), np.float32)
        values += rng.normal(0, 1, (images, units, 1, 1)).astype(np.float32)
        values = np.maximum(values, 0)
        values[:, 0] = 0
        values[:, 1] = np.minimum(values[:, 1], 0.5)
        values[:: images // 4, 2, 0, 0] = (np.nan, np.inf, -np.inf, np.nan)[: len(values[:: images // 4])]
        values[:, 3] += 1000
        values[:, 4] = -1 - values[:, 4]
        values[:, 5] = np.arange(images, dtype=np.float32)[:, None, None] % 5
        maps.append(values)
    return maps


class Replay(nn.Module):
    """A network that gives recorded maps, those of `images`, whatever it is shown."""

    def __init__(self, maps: Maps, device: Device) -> None:
        super().__init__()
        self._maps = [torch.from_numpy(values).to(device.device) for values in maps]
        self.images = slice(0, 2)
        for number in range(len(maps)):
            self.add_module(f"layer{number}", nn.Identity())

    def forward(self, inputs: Tensor) -> Tensor:
        layers = zip(self.children(), self._maps, strict=True)
        outputs = [layer(maps[self.images].contiguous(memory_format=torch.channels_last)) for layer, maps in layers]
        return torch.nan_to_num(outputs[0][:, :CLASSES, 0, 0])


def _runner(maps: Maps, device: Device) -> Runner:
    network = Replay(maps, device)
    preprocessing = imagenet_preprocessing()
    preprocessing = replace(preprocessing, geometry=replace(preprocessing.geometry, resize=_CROP, crop=_CROP))
    layers = [WatchedLayer(f"layer{n}", f"layer{n}", 0, *values.shape[1:]) for n, values in enumerate(maps)]
    with device.inference():
        trace = Trace(network, torch.zeros((2, 3, _CROP, _CROP), device=device.device))
    model = LoadedModel("Replay", network, "Replay", "replay", preprocessing)
    return Runner(model, device, network, trace, layers, CLASSES, Match(outputs=None, rule="no labels"))


def _labelled(path: bytes) -> LabelledImage:
    """Return blobs of twelve concepts of two categories, and a scene, from an image's number."""
    rng = np.random.default_rng(int(path))
    coarse = rng.integers(0, (7, 13), (_SIDE // 7, _SIDE // 7, 2)).astype(np.uint16)
    planes = coarse.repeat(7, 0).repeat(7, 1).transpose(2, 0, 1)
    planes[1] = np.where(planes[1] > 6, planes[1], 0)
    return LabelledImage(np.zeros((_CROP, _CROP, 3), np.uint8), planes, rng.integers(13, 15, 1).astype(np.uint16))


def _annotations(images: int) -> Annotations:
    paths = [b"%d" % number for number in range(images)]
    return Annotations(
        image_set=ImageSet(root=Path(), paths=paths, labels=np.zeros(images, np.int32)),
        concepts=Concepts(
            tuple(f"c{n}" for n in range(14)), (0,) * 6 + (1,) * 6 + (2,) * 2, ("color", "part", "scene")
        ),
        read=_labelled,
        geometry=replace(imagenet_preprocessing().geometry, resize=_CROP, crop=_CROP),
        height=_SIDE,
        width=_SIDE,
        planes=2,
        whole=1,
        source="drawn",
    )


class ReplayContest:
    """The same recorded maps, and the ways to compute statistics of them on either device."""

    def __init__(self, setup: Setup) -> None:
        sizes = setup.sizes
        self._batch, self._count = sizes.map_batch, sizes.map_images
        maps = activation_maps(sizes.maps, sizes.map_images)
        self.runners = [_runner(maps, CPU), _runner(maps, setup.device("highest"))]
        self._annotations = _annotations(self._count)
        pack = self._annotations.pack
        self._packed = np.stack([pack(path) for path in self._annotations.image_set.paths])

    def _part(self, measure: Measure, runner: Runner, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return what a shard's measure gives of all images, batch by batch."""
        shard = measure.start([runner])
        assert isinstance(runner.network, Replay)
        for first in range(0, self._count, self._batch):
            positions = np.arange(first, min(first + self._batch, self._count))
            runner.network.images = slice(first, int(positions[-1]) + 1)
            shard.feed(on_device(Batch(positions, pixels[positions], None), runner.device))
        return shard.part()

    def probe(self, runner: Runner) -> ProbeResult:
        """Return what the activation pass gives, and total variation on noisy images (here the same)."""
        numbers = np.arange(self._count)
        measure = ProbeMeasure(
            models=(0,),
            plan=StatisticsPlan(TOP, self._count, CLASSES),
            labels=(numbers % CLASSES).astype(np.int32),
            keys=np.random.default_rng(1).permutation(self._count),
            noises=("noise-0.1",),
            kinds=("max", "mean"),
        )
        pixels = np.zeros((self._count, 2, _CROP, _CROP, 3), np.uint8)
        return measure.merge(0, runner, [self._part(measure, runner, pixels)])

    def thresholds(self, runner: Runner) -> Thresholds:
        """Return every unit's threshold."""
        measure = ThresholdMeasure((0,), self._annotations, 0)
        return measure.merge(0, runner, [self._part(measure, runner, self._packed)])

    def dissection(self, runner: Runner, thresholds: Thresholds) -> list[LayerDissection]:
        """Return what units and concepts share, and the metrics that follow."""
        measure = DissectionMeasure((0,), self._annotations, [thresholds], PUBLISHED)
        return measure.merge(0, [self._part(measure, runner, self._packed)])


def statistics(setup: Setup, record: Record) -> None:
    """Compare the statistics of both devices, of the same maps."""
    contest = ReplayContest(setup)
    on_cpu, on_device = map(contest.probe, contest.runners)
    record.check(np.array_equal(on_cpu.decision, on_device.decision), "decisions differ")
    for number, (actual, expected) in enumerate(zip(on_device.layers, on_cpu.layers, strict=True)):
        check_layer(record, f"layer {number}", actual, expected)
        for name, values in on_cpu.noisy[number].items():
            _check_close(record, f"layer {number} {name}", on_device.noisy[number][name], values)
    thresholds = [contest.thresholds(runner) for runner in contest.runners]
    for number, (first, second) in enumerate(zip(*thresholds, strict=True)):
        record.check(np.array_equal(first, second, equal_nan=True), f"layer {number}: thresholds differ")
    both = [contest.dissection(runner, thresholds[0]) for runner in contest.runners]
    for number, (found_layer, wanted_layer) in enumerate(zip(both[1], both[0], strict=True)):
        _check_overlap(record, f"layer {number}", found_layer, wanted_layer)
    record.measured |= {"layers": len(setup.sizes.maps), "images": setup.sizes.map_images}


def check_layer(record: Record, name: str, actual: LayerResult, expected: LayerResult) -> None:
    """Check that a layer's metrics and top images are what they are on the CPU."""
    record.check(actual.left_out == expected.left_out, f"{name}: other maps are left out")
    _check_top(record, name, actual.top, expected.top)
    for metric, values in expected.metrics.items():
        if metric in EXACT:
            same = np.array_equal(actual.metrics[metric], values, equal_nan=True)
            record.check(same, f"{name}: {metric} differs")
        else:
            _check_close(record, f"{name} {metric}", actual.metrics[metric], values)


def _check_top(record: Record, name: str, actual: TopKResult, expected: TopKResult) -> None:
    for kind in ("value", "image", "position"):
        same = np.array_equal(getattr(actual, kind), getattr(expected, kind), equal_nan=kind == "value")
        record.check(same, f"{name}: the top images' {kind} differs")
    apart = int(np.abs(actual.map.astype(np.int16) - expected.map).max(initial=0))
    record.check(apart <= 1, f"{name}: the top images' maps differ by {apart} of 255")


def _check_close(record: Record, name: str, actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Check that values are within 1e-5 of the CPU's (relative to these if above 1), and NaN where those are."""
    undefined = np.isnan(expected)
    record.check(np.array_equal(np.isnan(actual), undefined), f"{name}: not the same units are undefined")
    apart = np.abs(actual.astype(np.float64) - expected) / np.maximum(np.abs(expected), 1)
    largest = float(np.nan_to_num(apart).max(initial=0))
    record.measured["largest difference"] = max(record.measured.get("largest difference", 0.0), largest)
    record.check(largest <= CLOSE, f"{name} differs by {largest:.1e}")


def _check_overlap(record: Record, name: str, actual: LayerDissection, expected: LayerDissection) -> None:
    """Check that the counts of pixels, and the metrics that follow from them, are equal."""
    for kind in ("label", "intersection", "activation", "truth"):
        same = np.array_equal(getattr(actual[0], kind), getattr(expected[0], kind))
        record.check(same, f"{name}: the overlap's {kind} differs")
    for metric, values in expected[1].items():
        record.check(np.array_equal(actual[1][metric], values, equal_nan=True), f"{name}: {metric} differs")
