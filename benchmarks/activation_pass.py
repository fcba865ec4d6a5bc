"""The activation pass against the bare forward of the same network, and against plain PyTorch reductions.

    python -m benchmarks.activation_pass [--images 512] [--rounds 2]

Images are decoded already and in memory. In one process, batch by batch in turns, all from uint8 pixels: the bare
forward (channels_last), the pass (every metric of the paper's layers, to the finished results), the same with the noise
pass's second forward, and the straightforward way to the same numbers (forward hooks with PyTorch's max with index,
sum, sum of squares, count and a sampled quantile, results kept).
Then the peak memory of the pass over that of the bare network, for two numbers of images, each in a fresh process.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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

NETWORKS = {"alexnet": 1, "resnet50": 2}  # of --images, this part: the slower one gets fewer


def photo_like(count: int) -> NDArray[np.uint8]:
    """Return noise at several scales, different for every image, uint8 [count, 224, 224, 3]."""
    random = np.random.default_rng(0)
    pixels = np.empty((count, 224, 224, 3), np.uint8)
    for image in pixels:
        layers = torch.zeros(1, 3, 224, 224)
        for size in (4, 14, 56, 224):
            noise = torch.from_numpy(random.standard_normal((1, 3, size, size), np.float32))
            layers += nn.functional.interpolate(noise, 224, mode="bilinear") * (30 if size > 4 else 50)
        image[...] = (layers[0].permute(1, 2, 0) + 128).clamp(0, 255).numpy().astype(np.uint8)
    return pixels


class ActivationContest:
    """One network, its inputs, and the ways to run it: each goes on by one batch when it is asked for the next."""

    def __init__(self, name: str, images: int) -> None:
        torch.manual_seed(0)
        self.device: Device = choose_device("auto", "auto")
        self.batch = 256 if self.device.is_cuda else 32
        self.network = self.device.to(torchvision.models.get_model(name, weights=None).eval())
        self.pixels = photo_like(images)
        with self.device.inference():
            trace = Trace(self.network, self.input(np.arange(2)))
        self.layers: list[WatchedLayer] = trace.paper()
        model = LoadedModel(name, self.network, name, name, imagenet_preprocessing())
        self.runner = Runner(
            model, self.device, self.network, trace, self.layers, None, Match(outputs=None, rule="no class scores")
        )

    def input(self, images: NDArray[np.int64]) -> Tensor:
        return self.device.images(self.pixels[images], imagenet_preprocessing())

    def batches(self) -> list[NDArray[np.int64]]:
        return np.split(np.arange(len(self.pixels)), range(self.batch, len(self.pixels), self.batch))

    def bare(self) -> Iterator[None]:
        for images in self.batches():
            with self.device.inference():
                self.network(self.input(images))
            yield

    def activation_pass(self, noise: bool = False) -> Iterator[None]:
        noisy = NoisyVariation(self.runner)
        plan = StatisticsPlan(25, len(self.pixels), 1000)
        running = ActivationPass(self.network, self.layers, self.device, plan)
        for images in self.batches():
            running.run(self.input(images), images, images % 1000)
            if noise:  # made by the processes that decode: here other pixels stand for them
                noisy.run(self.pixels[len(self.pixels) - 1 - images])
            yield
        for index, layer in enumerate(running.statistics):
            metrics = layer.result().metrics
            if noise:
                noisy_metrics("noise-0.1", noisy.layers[index].result().tv, metrics["tv"])

    def smoothness_pass(self) -> Iterator[None]:
        return self.activation_pass(noise=True)

    def plain_reductions(self) -> Iterator[None]:
        kept: list[Tensor] = []

        def see(index: int, maps: Tensor) -> None:
            flat = maps.flatten(2)
            kept.extend(flat.max(2))
            kept.extend((flat.sum(2), (flat * flat).sum(2), (flat <= 0).sum(2), flat[:, :, ::8].quantile(0.995, dim=2)))

        for images in self.batches():
            with self.device.inference(), Watch(self.network, self.layers, see):
                self.network(self.input(images))
            yield


WAYS: dict[str, Callable[[ActivationContest], Iterator[None]]] = {
    "bare forward": ActivationContest.bare,
    "activation pass": ActivationContest.activation_pass,
    "with noise": ActivationContest.smoothness_pass,
    "plain": ActivationContest.plain_reductions,
}


def in_turns(contest: ActivationContest) -> dict[str, NDArray[np.float64]]:
    """Return the seconds (by the clock, of the processor) of every way; they take their batches in turns, so that what
    else the machine does, and how warm it is, falls on all of them."""
    running = {way: start(contest) for way, start in WAYS.items()}
    seconds = {way: np.zeros(2) for way in WAYS}
    for _ in range(len(contest.batches()) + 1):  # once more for the results
        for way, iterator in running.items():
            start = np.array([time.perf_counter(), time.process_time()])
            next(iterator, None)
            contest.device.synchronize()
            seconds[way] += np.array([time.perf_counter(), time.process_time()]) - start
    return seconds


def speed(name: str, images: int, rounds: int) -> None:
    in_turns(ActivationContest(name, 32))  # compiles the kernels
    contest = ActivationContest(name, images)
    times = [in_turns(contest) for _ in range(rounds)]
    units = sum(layer.units for layer in contest.layers)
    print(f"{name}: {images} images, {units} units in {len(contest.layers)} layers, {contest.device}")
    for way in WAYS:
        clock, processor = np.median([round_["bare forward"] / round_[way] for round_ in times], axis=0)
        best = min(round_[way][0] for round_ in times)
        forwards = 2 if way == "with noise" else 1
        beside = "two bare forwards" if forwards == 2 else "the bare forward"
        print(
            f"  {way:16} {images / best:7.1f} images/s   {forwards * clock:.2f} of {beside} "
            f"({forwards * processor:.2f} by processor time)"
        )


def peak_memory(name: str, images: int, what: str) -> int:
    """Return the peak memory, in bytes, of a fresh process that does `what` with a network and so many images."""
    command = [sys.executable, "-m", "benchmarks.activation_pass", "--images", str(images), "--peak", f"{name}:{what}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(answer.splitlines()[-1]))


def report_peak(task: str, images: int) -> None:
    """Print the peak memory of this fresh process, in bytes; batches come one at a time, as from a loader."""
    name, _, what = task.partition(":")
    contest = ActivationContest(name, 32)
    (all_images,) = contest.batches()
    list(contest.bare())
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here on, without making the network
    if what == "bare":
        for _ in range(0, images, 32):
            list(contest.bare())
    else:
        running = ActivationPass(contest.network, contest.layers, contest.device, StatisticsPlan(25, images, 1000))
        for first in range(0, images, 32):
            contest.pixels[...] = np.roll(contest.pixels, 7, 2)
            running.run(contest.input(all_images), first + all_images, all_images)
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
