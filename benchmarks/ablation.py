"""Ablation scores against the naive way: the whole network, once for each unit.

    python -m benchmarks.ablation [--images 64] [--units 2]

AlexNet with random weights on drawn images, on this machine's CPU; for conv5 and conv1, in one process:

- naive: a full forward for every unit, one image at a time, as the study's code does it;
- naive in batches: the same, all images in one forward;
- the pass: the network to the layer once, then only what a unit changes behind it.

The naive ways are measured on `--units` units, half of them before the pass and half after it, and multiplied up; the
pass runs all units on all images. Every image counts here: the pass leaves out images that the network decides neither
by shape nor by texture (481 of 1200 for the published AlexNet, Geirhos et al. 2019), which the naive way runs; the last
figures say what that would make of the ratios. Seconds are the processor's, in one thread: other work on the machine
does not count. The decisions of the naive units are compared.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the commands do, before torch is imported

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.activation_pass import photo_like
from shapebias.core.shape_bias.categories import sixteen_classes
from shapebias.precompute.ablation.bfloat16 import category_choice
from shapebias.precompute.ablation.units import UnitAblation
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.models.load import LoadedModel
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.runner import Runner, prepare

CHOICE = category_choice(sixteen_classes())
BATCH = 32  # images, as in a run
PUBLISHED = (719, 1200)  # images that the published AlexNet decides by shape or by texture
Decisions = NDArray[np.int32]


def alexnet() -> Runner:
    """Return AlexNet with random weights from a fixed seed, prepared on the CPU with the paper's layers."""
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None).eval()
    model = LoadedModel("AlexNet", network, "alexnet", "alexnet", imagenet_preprocessing())
    images = ImageSet(root=Path(), paths=[], labels=np.zeros(0, np.int32))
    return prepare(model, images, choose_device("cpu", "auto"), "paper")


def naive(runner: Runner, layer: int, unit: int, pixels: NDArray[np.uint8], batch: int) -> Decisions:
    """Return the whole network's decisions, int32 [images], with a unit set to 0, by `batch` images in each forward."""

    def silence(_: int, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, unit] = 0
        return changed

    received = []
    with runner.device.inference(), Watch(runner.network, [runner.layers[layer]], silence):
        for first in range(0, len(pixels), batch):
            received.append(CHOICE.decide(runner.network(runner.inputs(pixels[first : first + batch]))))
    return np.concatenate(received)


def contest(runner: Runner, layer: int, pixels: NDArray[np.uint8], units: int) -> None:
    """Print the times of the ways to ablate the units of a layer, and whether their decisions agree."""
    facts = runner.layers[layer]
    chosen = np.linspace(0, facts.units - 1, max(2, units)).astype(int).tolist()
    one = batched = ours = 0.0
    wanted, decisions, said = [], np.zeros((0, 0), np.int32), ""
    for number, unit in enumerate(chosen):
        if number == len(chosen) // 2:
            start = time.process_time()
            decisions, said = ablate(runner, facts, pixels)
            ours = time.process_time() - start
        start = time.process_time()
        naive(runner, layer, unit, pixels, 1)
        between = time.process_time()
        wanted.append(naive(runner, layer, unit, pixels, len(pixels)))
        batched += time.process_time() - between
        one += between - start
    times = facts.units / len(chosen)
    print(f"{facts.name}: {facts.units} units x {len(pixels)} images; the pass ran {said}")
    for name, seconds in (("naive, an image at a time", one * times), ("naive, in batches", batched * times)):
        counted = seconds / ours * PUBLISHED[1] / PUBLISHED[0]
        print(
            f"  {name:25}  {seconds:8.1f} s, {seconds / ours:5.1f} x the pass ({counted:.1f} x if {PUBLISHED[0]} of "
            f"{PUBLISHED[1]} images count)"
        )
    same = (decisions[chosen] == np.stack(wanted)).all()
    print(f"  {'the pass':25}  {ours:8.1f} s")
    print(f"  decisions of {len(chosen)} units {'equal' if same else 'DIFFER'}")


def ablate(runner: Runner, layer: WatchedLayer, pixels: NDArray[np.uint8]) -> tuple[Decisions, str]:
    """Return the decisions without each unit, int32 [units, images], and as text how many (image, unit) rows ran."""
    ablation = UnitAblation(runner, layer, 1_000_000_000)
    scores = runner.forward(pixels)
    assert scores is not None
    decisions = np.tile(CHOICE.decide(scores), (layer.units, 1))
    rows = 0
    for first in range(0, len(pixels), BATCH):
        image, unit, decided = ablation.decide_pixels(pixels[first : first + BATCH], CHOICE)
        decisions[unit, first + image] = decided
        rows += len(unit)
    check = ablation.check
    given_up = "" if check.given_up is None else f" ({check.given_up})"
    return (
        decisions,
        f"{rows:,} rows, {check.rows:,} of them in bfloat16{given_up}, of these {check.again:,} in float32",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--units", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runner, pixels = alexnet(), photo_like(options.images)
    print(f"{runner.device}")
    for layer in (4, 0):
        contest(runner, layer, pixels, options.units)
