"""Dissection of AlexNet's five layers with 1200 concepts against the bare forward of the same network.

    python -m benchmarks.dissection [--images 64] [--rounds 2]

Random weights; images and labels are in memory. Each image has four planes of labels at 112 x 112, as Broden's have
(colours, objects, parts, materials), and two labels of the whole image, of 1200 concepts. In turns, in one process: the
bare forward, the thresholds' forward (phase 1) and the forward that counts (phase 2). Then the peak memory of phase 2
over that of the bare forwards, for two numbers of images, each in a fresh process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from benchmarks.activation_pass import photo_like
from shapebias.core.concepts import Concepts
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.annotations import Labels
from shapebias.precompute.models.hooks import Watch
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.overlap import AnnotatedMaps, Overlap, ShownConcepts
from shapebias.precompute.statistics.quantile import Quantile

BATCH = 32
SIDE = 112
CATEGORIES = {"color": 11, "texture": 47, "material": 32, "part": 234, "object": 584, "scene": 292}


class DissectionContest:
    """The network, its inputs, and what is done with them."""

    def __init__(self, images: int) -> None:
        torch.manual_seed(0)
        self.device = choose_device("auto", "auto")
        self.network = self.device.to(torchvision.models.alexnet(weights=None).eval())
        self.pixels = photo_like(images)
        sizes = list(CATEGORIES.values())
        self.concepts = Concepts(
            tuple(map(str, range(sum(sizes)))), tuple(np.repeat(range(6), sizes).tolist()), tuple(CATEGORIES)
        )
        self.labels = [self.label(seed, min(BATCH, images)) for seed in range(-(-images // BATCH))]
        sample = self.device.images(self.pixels[:2], imagenet_preprocessing())
        with self.device.inference():
            self.layers = Trace(self.network, sample).paper()

    def label(self, seed: int, images: int) -> Labels:
        """Return random blobs of labels: in each image about 6 colours, 12 objects, 10 parts and 4 materials."""
        rng = np.random.default_rng(seed)
        planes = np.zeros((images, 4, SIDE, SIDE), np.uint16)
        for plane, (first, count, cells) in enumerate(((1, 11, 28), (325, 584, 4), (91, 234, 4), (59, 32, 2))):
            coarse = rng.integers(first, first + count, (images, cells, cells))
            planes[:, plane] = coarse.repeat(SIDE // cells, 1).repeat(SIDE // cells, 2)
        whole = np.stack([rng.integers(12, 59, images), rng.integers(909, 1201, images)], 1).astype(np.uint16)
        return Labels(planes.reshape(images, 4, -1), whole, self.concepts, height=SIDE, width=SIDE)

    def forwards(self, see: Callable[..., None] | None) -> None:
        for number, first in enumerate(range(0, len(self.pixels), BATCH)):
            inputs = self.device.images(self.pixels[first : first + BATCH], imagenet_preprocessing())
            with self.device.inference():
                if see is None:
                    self.network(inputs)
                    continue
                with Watch(self.network, self.layers, partial(see, batch=number)):
                    self.network(inputs)
        self.device.synchronize()

    def bare(self) -> None:
        self.forwards(None)

    def thresholds(self) -> list[NDArray[np.float32]]:
        count = len(self.pixels)
        quantiles = [
            Quantile(layer.units, layer.height * layer.width, count, self.device.device) for layer in self.layers
        ]
        draws = [draw for quantile in quantiles for draw in quantile.draws]
        images = [
            ImageBatch(np.arange(first, min(first + BATCH, count)), draws=draws, device=self.device.device)
            for first in range(0, count, BATCH)
        ]

        def see(index: int, output: torch.Tensor, batch: int) -> None:
            quantiles[index].update(Maps(output, images[batch], paired=False))

        self.forwards(see)
        return [quantile.result() for quantile in quantiles]

    def count(self, thresholds: list[NDArray[np.float32]]) -> None:
        layers = [Overlap(threshold, self.concepts, self.device.device) for threshold in thresholds]
        concepts = [ShownConcepts.of(labels, self.device.device) for labels in self.labels]

        def see(index: int, output: torch.Tensor, batch: int) -> None:
            layers[index].update(AnnotatedMaps(Maps(output), concepts[batch]))

        self.forwards(see)
        for overlap in layers:
            overlap.result()


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def speed(images: int, rounds: int) -> None:
    contest = DissectionContest(images)
    contest.bare()
    thresholds = contest.thresholds()
    contest.count(thresholds)  # compiles the kernels
    ways: dict[str, Callable[[], object]] = {
        "bare forward": contest.bare,
        "phase 1, thresholds": contest.thresholds,
        "phase 2, counts": lambda: contest.count(thresholds),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        contest.labels = [_fresh(labels) for labels in contest.labels]
        for way, action in ways.items():
            times[way].append(seconds(action))
    units = sum(layer.units for layer in contest.layers)
    print(f"AlexNet: {images} images, {units} units, {len(contest.concepts)} concepts, {contest.device}")
    for way in ways:
        ratio = statistics.median(bare / mine for bare, mine in zip(times["bare forward"], times[way], strict=True))
        print(f"  {way:20} {images / min(times[way]):7.1f} images/s   {ratio:.2f} of the bare forward")
    both = [one + two for one, two in zip(times["phase 1, thresholds"], times["phase 2, counts"], strict=True)]
    ratio = statistics.median(bare / mine for bare, mine in zip(times["bare forward"], both, strict=True))
    print(f"  {'both phases':20} {images / min(both):7.1f} images/s   {ratio:.2f} of the bare forward")


def _fresh(labels: Labels) -> Labels:
    """Return a copy of the labels without the counts that `Labels` caches."""
    return Labels(labels.planes, labels.whole, labels.concepts, height=labels.height, width=labels.width)


def peak_memory(images: int, what: str) -> int:
    """Return the peak memory, in bytes, of a fresh process that does `what` with so many images."""
    command = [sys.executable, "-m", "benchmarks.dissection", "--images", str(images), "--peak", what]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(answer.splitlines()[-1]))


def report_peak(what: str, images: int) -> None:
    """Print the peak memory of this fresh process, in bytes; the same batch comes again and again."""
    contest = DissectionContest(BATCH)
    contest.bare()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here on, without making the network
    thresholds = [np.full(layer.units, 0.05, np.float32) for layer in contest.layers]
    layers = [Overlap(threshold, contest.concepts, contest.device.device) for threshold in thresholds]

    def see(index: int, output: torch.Tensor, batch: int) -> None:
        concepts = ShownConcepts.of(_fresh(contest.labels[0]), contest.device.device)
        layers[index].update(AnnotatedMaps(Maps(output), concepts))

    for _ in range(images // BATCH):
        contest.forwards(None if what == "bare" else see)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps(int(peak.split()[1]) * 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peak", choices=["bare", "counts"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        report_peak(options.peak, options.images)
        return
    speed(options.images, options.rounds)
    bare = peak_memory(BATCH, "bare")
    for images in (BATCH, 4 * BATCH):
        extra = peak_memory(images, "counts") - bare
        print(f"  peak memory of phase 2 over the bare network's, {images} images: {extra / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
