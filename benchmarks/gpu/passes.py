"""A network and images in memory, and the ways to run it whose speed and memory are measured."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu.networks import pixels, runner
from benchmarks.gpu.setup import Setup
from shapebias.core.shape_bias.categories import sixteen_classes
from shapebias.precompute.ablation.bfloat16 import category_choice
from shapebias.precompute.ablation.memory import bytes_to_use
from shapebias.precompute.ablation.units import UnitAblation
from shapebias.precompute.images.annotations import Annotations, annotate
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.measures.activation import StatisticsPlan
from shapebias.precompute.measures.dissection import DissectionMeasure, ThresholdMeasure
from shapebias.precompute.measures.probe import ProbeMeasure
from shapebias.precompute.scanning.scan import Measure
from shapebias.precompute.scanning.upload import on_device

TOP, CLASSES = 25, 1000
Pixels = NDArray[np.uint8]


class PassesContest:
    """A network in one precision and a batch of images, which is used several times under other image numbers.

    What is measured is done as a run does it: from uint8 pixels on the host to parts on the host.
    """

    def __init__(self, setup: Setup, name: str, precision: str) -> None:
        sizes = setup.sizes
        self.runner = runner(setup, name, precision)
        self.images = sizes.batch * sizes.batches
        self._batch = sizes.batch
        clean = pixels(min(sizes.batch, _DRAWN))
        self._pixels = np.ascontiguousarray(np.resize(clean, (sizes.batch, *clean.shape[1:])))
        self._noisy = np.ascontiguousarray(np.stack([self._pixels, self._pixels[::-1]], 1))
        self._annotations = _annotations(self.images, self.runner.geometry)
        self._packed: Pixels | None = None
        self.resident: Tensor = self.runner.inputs(self._pixels)

    def bare(self, batches: int | None = None) -> None:
        """Run the network on images that are on the device already, in `batches` batches (None: all)."""
        with self.runner.device.inference():
            for _ in range(batches or self.images // self._batch):
                self.runner.network(self.resident)
        self.runner.device.synchronize()

    def from_pixels(self) -> None:
        """Run the network on all batches, each sent from the host as uint8 pixels."""
        for _ in range(self.images // self._batch):
            self.runner.forward(self._pixels)
        self.runner.device.synchronize()

    def passing(self) -> None:
        """Run the activation pass."""
        self._measure(self._probe(()), self._pixels)

    def with_noise(self) -> None:
        """Run the activation pass and that of noisy images."""
        self._measure(self._probe(("noise-0.1",)), self._noisy)

    def dissection(self) -> None:
        """Run both phases of dissection."""
        packed = self._packed_pixels()
        thresholds = ThresholdMeasure((0,), self._annotations, 0)
        parts = [self._measure(thresholds, packed)]
        thresholds_of_model = [thresholds.merge(0, self.runner, parts)]
        self._measure(DissectionMeasure((0,), self._annotations, thresholds_of_model, "published"), packed)

    def _probe(self, noises: tuple[str, ...]) -> ProbeMeasure:
        numbers = np.arange(self.images)
        return ProbeMeasure(
            models=(0,),
            plan=StatisticsPlan(TOP, self.images, CLASSES),
            labels=(numbers % CLASSES).astype(np.int32),
            keys=numbers,
            noises=noises,
            kinds=("max", "mean"),
        )

    def _measure(self, measure: Measure, batch: Pixels) -> dict[str, NDArray[np.generic]]:
        """Return the part that a measure makes of all batches, taken as one shard; `batch` stands for each of them."""
        shard = measure.start([self.runner])
        for first in range(0, self.images, self._batch):
            loaded = Batch(np.arange(first, first + self._batch), batch, None)
            shard.feed(on_device(loaded, self.runner.device))
        part = shard.part()
        self.runner.device.synchronize()
        return part

    def _packed_pixels(self) -> Pixels:
        """Return a batch with its annotation packed, as a loader gives it: uint8 [B, versions, crop, crop, 3]."""
        if self._packed is None:
            pack = self._annotations.pack
            few = np.stack([pack(b"%d" % number) for number in range(min(self._batch, _DRAWN))])
            self._packed = np.ascontiguousarray(np.resize(few, (self._batch, *few.shape[1:])))
        return self._packed

    def ablation(self) -> UnitAblation:
        """Return the ablation of the units of the last layer but one."""
        return UnitAblation(self.runner, self.runner.layers[-2:][0], bytes_to_use(self.runner.device, None))

    def ablated_rows(self, ablation: UnitAblation, images: int) -> int:
        """Ablate units on the first `images` of a batch; return how many pairs of image and unit were run."""
        _, units, _ = ablation.decide_pixels(self._pixels[:images], category_choice(sixteen_classes()))
        return len(units)


_DRAWN = 16  # different pictures in a batch


def _decoder(path: bytes) -> Pixels:
    drawn: Pixels = pixels(1, int(path.rpartition(b"/")[2]))[0]
    return drawn


class _Pictures(ImageSet):
    """Pictures that are drawn, annotated by their colours."""

    def decoder(self, geometry: Geometry) -> Callable[[bytes], Pixels]:
        return _decoder


def _annotations(images: int, geometry: Geometry) -> Annotations:
    paths = [b"%d" % number for number in range(images)]
    return annotate(_Pictures(root=Path(), paths=paths, labels=np.zeros(images, np.int32)), geometry)
