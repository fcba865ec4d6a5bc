"""Ablation scores against the naive way: the whole network, once for each unit.

    python benchmarks/ablation.py [--images 64] [--units 4] [--rounds 1]

AlexNet with random weights on drawn images, all of which count (each image's shape is what the network decides for it,
so that no image is skipped as undecided), on this machine's CPU. In turns, in one process, for conv5 and conv1:

- naive: a full forward for every unit, one image at a time, as the study's code does it;
- naive in batches: the same, all images in one forward;
- the pass: the network to the layer once, then only the rest, for all units.

The naive ways are measured on `--units` units spread over the layer and multiplied up; the pass does all units (conv5)
or, to stay short, as many of them (conv1: --pass-units), multiplied up too. Scores of the measured units are compared.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from activation_pass import photo_like
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.categories import sixteen_classes
from shapebias.core.cue_conflict import decide
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.folder import ImageSet
from shapebias.precompute.models.load import LoadedModel
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.models.watch import Watch
from shapebias.precompute.passes.ablation import UnitAblation
from shapebias.precompute.runner import Runner, prepare

MAPPING = sixteen_classes()
Counts = NDArray[np.int64]


def alexnet() -> Runner:
    """AlexNet with random weights, biased towards nothing."""
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None).eval()
    model = LoadedModel("AlexNet", network, "alexnet", "alexnet", imagenet_preprocessing())
    images = ImageSet(Path(), [], np.zeros(0, np.int32), [], [], False)
    return prepare(model, images, choose_device("cpu", "auto"), "paper")


def categories(scores: Tensor) -> NDArray[np.int32]:
    return decide(torch.softmax(scores.float(), 1).numpy(), MAPPING)


def naive(runner: Runner, layer: int, unit: int, pixels: NDArray[np.uint8], batch: int) -> NDArray[np.int32]:
    """What the whole network decides without the unit, `batch` images a forward."""

    def silence(_: int, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, unit] = 0
        return changed

    found = []
    with runner.device.inference(), Watch(runner.network, [runner.layers[layer]], silence):
        for first in range(0, len(pixels), batch):
            found.append(categories(runner.network(runner.inputs(pixels[first : first + batch]))))
    return np.concatenate(found)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def contest(runner: Runner, layer: int, pixels: NDArray[np.uint8], units: int) -> None:
    facts = runner.layers[layer]
    base = naive_base(runner, pixels)
    chosen = np.linspace(0, facts.units - 1, units).astype(int)
    one, batched, scores = 0.0, 0.0, []
    for unit in chosen:
        one += seconds(lambda: naive(runner, layer, unit, pixels, 1))  # noqa: B023 (called at once)
        start = time.perf_counter()
        scores.append(int((naive(runner, layer, unit, pixels, len(pixels)) != base).sum()))
        batched += time.perf_counter() - start
    lost = np.zeros(facts.units, np.int64)
    start = time.perf_counter()
    ablation = UnitAblation(runner, facts, 1_000_000_000)
    rows = 0
    for first in range(0, len(pixels), 32):
        for image, unit, decided in ablation._decide(pixels[first : first + 32], categories):
            changed = decided != base[first:][image]
            lost += np.bincount(unit[changed], minlength=facts.units)
            rows += len(unit)
    ours = time.perf_counter() - start
    times = facts.units / units
    print(f"{facts.name}: {facts.units} units x {len(pixels)} images; {rows:,} rows run, {ablation.rows} a forward")
    print(f"  naive, an image at a time  {one * times:8.1f} s (from {units} units)  {one * times / ours:6.1f} x")
    print(
        f"  naive, in batches          {batched * times:8.1f} s (from {units} units)  {batched * times / ours:6.1f} x"
    )
    print(f"  the pass                   {ours:8.1f} s")
    print(f"  scores of {units} units {'equal' if scores == lost[chosen].tolist() else 'DIFFER'}: {scores}")


def naive_base(runner: Runner, pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    with runner.device.inference():
        return categories(runner.network(runner.inputs(pixels)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--units", type=int, default=4)
    options = parser.parse_args()
    runner, pixels = alexnet(), photo_like(options.images)
    print(f"{runner.device}")
    for layer in (4, 0):
        contest(runner, layer, pixels, options.units)
