"""Ablation scores against the naive way: the whole network, once for each unit.

    python benchmarks/ablation.py [--images 64] [--units 2]

AlexNet with random weights on drawn images, on this machine's CPU; for conv5 and conv1, in one process:

- naive: a full forward for every unit, one image at a time, as the study's code does it;
- naive in batches: the same, all images in one forward;
- the pass: the network to the layer once, then only what a unit changes behind it.

The naive ways are measured on `--units` units, half of them before the pass and half after it, and multiplied up. The
pass runs all units on half of the images (conv5) or a sixteenth (conv1), multiplied up. Every image counts here: the
pass leaves out images that the network decides neither by shape nor by texture (481 of 1200 for the published AlexNet,
Geirhos et al. 2019), which the naive way runs; the last line says what that would make of the ratios. The scores of the
naive units are compared on the images that the pass ran.
"""

import argparse
import time
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
from shapebias.precompute.models.layers import WatchedLayer
from shapebias.precompute.models.load import LoadedModel
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.models.watch import Watch
from shapebias.precompute.passes.ablation import UnitAblation
from shapebias.precompute.runner import Runner, prepare

MAPPING = sixteen_classes()
PUBLISHED = (719, 1200)  # images that the published AlexNet decides by shape or by texture
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


def contest(runner: Runner, layer: int, pixels: NDArray[np.uint8], units: int, share: int) -> None:
    """Prints the times of a layer; the pass runs 1 / `share` of the images."""
    facts, run = runner.layers[layer], pixels[: max(1, len(pixels) // share)]
    base = naive_base(runner, pixels)
    chosen = np.linspace(0, facts.units - 1, max(2, units)).astype(int)
    half = len(chosen) // 2
    one, batched, scores = 0.0, 0.0, []
    lost, ours, rows = np.zeros(0, np.int64), 0.0, 0
    for number, unit in enumerate(chosen.tolist()):
        if number == half:
            start = time.perf_counter()
            lost, rows = ablate(runner, facts, run, base)
            ours = (time.perf_counter() - start) * len(pixels) / len(run)
        start = time.perf_counter()
        naive(runner, layer, unit, pixels, 1)
        between = time.perf_counter()
        decided = naive(runner, layer, unit, pixels, len(pixels))
        batched += time.perf_counter() - between
        one += between - start
        scores.append(int((decided != base)[: len(run)].sum()))
    times = facts.units / len(chosen)
    print(f"{facts.name}: {facts.units} units x {len(pixels)} images; the pass ran {rows:,} rows on {len(run)} images")
    for name, seconds in (("naive, an image at a time", one * times), ("naive, in batches", batched * times)):
        counted = seconds / ours * PUBLISHED[1] / PUBLISHED[0]
        print(
            f"  {name:25}  {seconds:8.1f} s, {seconds / ours:5.1f} x the pass ({counted:.1f} x if {PUBLISHED[0]} of "
            f"{PUBLISHED[1]} images count)"
        )
    print(f"  {'the pass':25}  {ours:8.1f} s")
    print(f"  scores of {len(chosen)} units {'equal' if scores == lost[chosen].tolist() else 'DIFFER'}: {scores}")


def ablate(
    runner: Runner, layer: WatchedLayer, pixels: NDArray[np.uint8], base: NDArray[np.int32]
) -> tuple[Counts, int]:
    """The decisions that every unit's loss changes, int64 [units], and how many (image, unit) rows were run."""
    ablation, rows = UnitAblation(runner, layer, 1_000_000_000), 0
    lost = np.zeros(layer.units, np.int64)
    for first in range(0, len(pixels), 32):
        for image, unit, decided in ablation.decide_pixels(pixels[first : first + 32], categories):
            lost += np.bincount(unit[decided != base[first:][image]], minlength=layer.units)
            rows += len(unit)
    return lost, rows


def naive_base(runner: Runner, pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    with runner.device.inference():
        return categories(runner.network(runner.inputs(pixels)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--units", type=int, default=2)
    options = parser.parse_args()
    runner, pixels = alexnet(), photo_like(options.images)
    print(f"{runner.device}")
    for layer, share in ((4, 2), (0, 16)):
        contest(runner, layer, pixels, options.units, share)
