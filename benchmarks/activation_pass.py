"""The activation pass against the bare forward of the same network, and against plain PyTorch reductions.

    python -m benchmarks.activation_pass [--images 512] [--rounds 2]

Images are decoded already and in memory. In turns, in one process: the bare forward (channels_last), the pass (every
metric of the paper's layers, from uint8 pixels to the finished results), the same with the noise pass's second forward,
and the straightforward way to the same numbers (forward hooks with PyTorch's max with index, sum, sum of squares, count
and a sampled quantile, results kept).
Then the peak memory of the pass over that of the bare network, for two numbers of images, each in a fresh process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.precompute.device import Device, choose_device
from shapebias.precompute.images.labels import Match
from shapebias.precompute.measures.activation import ActivationPass, StatisticsPlan
from shapebias.precompute.measures.noise import NoisyVariation, noisy_metrics
from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.load import LoadedModel
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.runner import Runner

BATCH = 32
NETWORKS = {"alexnet": 1, "resnet50": 2}  # of --images, this part: the slower one gets fewer


def photo_like(count: int) -> NDArray[np.uint8]:
    """uint8 [count, 224, 224, 3]: noise at several scales, different for every image."""
    random = np.random.default_rng(0)
    pixels = np.empty((count, 224, 224, 3), np.uint8)
    for image in pixels:
        layers = torch.zeros(1, 3, 224, 224)
        for size in (4, 14, 56, 224):
            noise = torch.from_numpy(random.standard_normal((1, 3, size, size), np.float32))
            layers += nn.functional.interpolate(noise, 224, mode="bilinear") * (30 if size > 4 else 50)
        image[...] = (layers[0].permute(1, 2, 0) + 128).clamp(0, 255).numpy().astype(np.uint8)
    return pixels


class Contest:
    """One network, its inputs, and the ways to run it."""

    def __init__(self, name: str, images: int) -> None:
        torch.manual_seed(0)
        self.device: Device = choose_device("auto", "auto")
        self.network = self.device.place(torchvision.models.get_model(name, weights=None).eval())
        self.pixels = photo_like(images)
        self.inputs = [self.input(first) for first in range(0, images, BATCH)]
        with self.device.inference():
            trace = Trace(self.network, self.inputs[0][:2])
        self.layers: list[WatchedLayer] = trace.paper()
        model = LoadedModel(name, self.network, name, name, imagenet_preprocessing())
        match = Match(outputs=None, rule="no class scores")
        self.runner = Runner(model, self.device, self.network, trace, self.layers, None, match)

    def input(self, first: int) -> Tensor:
        return self.device.images(self.pixels[first : first + BATCH], imagenet_preprocessing())

    def bare(self) -> None:
        with self.device.inference():
            for inputs in self.inputs:
                self.network(inputs)
        self.device.synchronize()

    def activation_pass(self, noise: bool = False) -> None:
        count = len(self.pixels)
        noisy = NoisyVariation(self.runner)
        running = ActivationPass(self.network, self.layers, self.device, StatisticsPlan(25, count, 1000))
        for first in range(0, count, BATCH):
            places = np.arange(first, min(first + BATCH, count))
            running.run(self.input(first), places, places % 1000)
            if noise:  # made by the processes that decode: here other pixels stand for them
                noisy.run(self.pixels[count - first - len(places) : count - first])
        for index, layer in enumerate(running.statistics):
            metrics = layer.result().metrics
            if noise:
                noisy_metrics("noise-0.1", noisy.layers[index].result().tv, metrics["tv"])
        self.device.synchronize()

    def smoothness_pass(self) -> None:
        self.activation_pass(noise=True)

    def plain_reductions(self) -> None:
        kept: list[Tensor] = []

        def see(index: int, maps: Tensor) -> None:
            flat = maps.flatten(2)
            kept.extend(flat.max(2))
            kept.extend((flat.sum(2), (flat * flat).sum(2), (flat <= 0).sum(2), flat[:, :, ::8].quantile(0.995, dim=2)))

        with self.device.inference(), Watch(self.network, self.layers, see):
            for first in range(0, len(self.pixels), BATCH):
                self.network(self.input(first))
        self.device.synchronize()


def seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def speed(name: str, images: int, rounds: int) -> None:
    contest = Contest(name, images)
    ways = {
        "bare forward": contest.bare,
        "activation pass": contest.activation_pass,
        "with noise": contest.smoothness_pass,
        "plain": contest.plain_reductions,
    }
    contest.inputs, everything = contest.inputs[:1], contest.inputs
    contest.bare()
    Contest(name, BATCH).activation_pass()  # compiles the kernels
    contest.inputs = everything
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, action in ways.items():
            times[way].append(seconds(action))
    best = {way: min(some) for way, some in times.items()}
    units = sum(layer.units for layer in contest.layers)
    print(f"{name}: {images} images, {units} units in {len(contest.layers)} layers, {contest.device}")
    for way in ways:
        ratio = statistics.median(bare / mine for bare, mine in zip(times["bare forward"], times[way], strict=True))
        forwards = 2 if way == "with noise" else 1
        beside = "two bare forwards" if forwards == 2 else "the bare forward"
        print(f"  {way:16} {images / best[way]:7.1f} images/s   {forwards * ratio:.2f} of {beside}")


def peak_memory(name: str, images: int, what: str) -> int:
    """Bytes of peak RSS of a fresh process that does `what`."""
    command = [sys.executable, "-m", "benchmarks.activation_pass", "--images", str(images), "--peak", f"{name}:{what}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(answer.splitlines()[-1]))


def report_peak(task: str, images: int) -> None:
    """In the fresh process: batches come one at a time, as from a loader."""
    name, _, what = task.partition(":")
    contest = Contest(name, BATCH)
    contest.bare()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here: making the network is not meant
    if what == "bare":
        for _ in range(0, images, BATCH):
            contest.bare()
    else:
        running = ActivationPass(contest.network, contest.layers, contest.device, StatisticsPlan(25, images, 1000))
        for first in range(0, images, BATCH):
            places = np.arange(first, first + BATCH)
            contest.pixels[...] = np.roll(contest.pixels, 7, 2)
            running.run(contest.input(0), places, places % 1000)
        for layer in running.statistics:
            layer.result()
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps(int(peak.split()[1]) * 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        report_peak(options.peak, options.images)
        return
    for name in NETWORKS:
        speed(name, options.images // NETWORKS[name], options.rounds)
        bare = peak_memory(name, 128, "bare")
        for images in (128, 512):
            extra = peak_memory(name, images, "pass") - bare
            print(f"  peak memory over the bare network's, {images} images: {extra / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
