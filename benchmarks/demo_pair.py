"""Describe the built-in pair: its training, accuracy and robustness, and its use of shape and texture.

    python -m benchmarks.demo_pair [--images 500] [--write docs/demo-pair.md]

Measures the two networks that come with the program and prints a report in Markdown. The recipe and the log of the
training are read from the networks' files, and what other pairs showed from drawn_trials.csv; everything else is
measured in this run.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.drawn_trials import tried
from benchmarks.pair_training import command, log, minutes, publish, table
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.attacks.descent import Normalised, robust_accuracy
from shapebias.precompute.images.builtin.drawing import builtin_set, draw_path, parse_path
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import PAIR, parse_spec

STEPS = 20
EPSILONS = (0.0, 0.25, 0.5, 1.0, 2.0, 2.5)  # Euclidean, over all pixels and colours of a 64 px image in [0, 1]
LINF = (0.0, 2 / 255, 4 / 255, 8 / 255)
BATCH = 100


def images(split: str, count: int) -> tuple[Tensor, list[bytes]]:
    """Return images evenly spread over a split, float32 [count, 3, 64, 64] in [0, 1], and their paths."""
    chosen = builtin_set(split).spread(count)
    pixels = np.stack([draw_path(path) for path in chosen.paths])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255), chosen.paths


def batches(inputs: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(torch.split(inputs, BATCH), torch.split(labels, BATCH), strict=True)


def classifier(name: str) -> Normalised:
    """Return one network of the pair, as a module that takes images in [0, 1]."""
    model = load_model(parse_spec(name))
    return Normalised(model.network, model.preprocessing.mean, model.preprocessing.std).eval()


@torch.inference_mode()
def decisions(network: Normalised, inputs: Tensor) -> Tensor:
    return torch.cat([network(batch) for batch in torch.split(inputs, BATCH)]).argmax(1)


def recipe() -> list[str]:
    """Return the description of the pair's training."""
    return [
        "## Recipe",
        "",
        "Networks that differ in nothing but the images that they learned from:",
        "",
        *(f"    {command(name, 'builtin:train')}" for name in PAIR),
        "",
        f"Together {sum(map(minutes, PAIR)):.0f} minutes on 2 cores, with other jobs running beside them.",
        "",
        "The log is at the end.",
        "",
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    start = time.perf_counter()
    inputs, paths = images("probe", 2000)
    drawn = len(paths) / (time.perf_counter() - start)
    conflict, conflict_paths = images("cue-conflict", 1200)
    labels = torch.tensor([parse_path(path)[0] for path in paths])
    shapes, textures = torch.tensor([parse_path(path)[:2] for path in conflict_paths]).T
    some = torch.arange(options.images) * len(paths) // options.images
    networks = {name: classifier(name) for name in PAIR}

    accuracy: list[list[str]] = []
    bias: list[list[str]] = []
    robust: list[list[str]] = []
    robust_linf: list[list[str]] = []
    for name, network in networks.items():
        right = float((decisions(network, inputs) == labels).float().mean())
        accuracy.append([name, f"{right:.2%}"])
        decided = decisions(network, conflict)
        shape, texture = int((decided == shapes).sum()), int((decided == textures).sum())
        other = len(decided) - shape - texture
        bias.append([name, str(shape), str(texture), str(other), f"{shape / (shape + texture):.3f}"])
        for norm, epsilons, rows in (("l2", EPSILONS, robust), ("linf", LINF, robust_linf)):
            generator = torch.Generator().manual_seed(0)
            chosen = batches(inputs[some], labels[some])
            attacks = [Attack.reaching(norm, epsilon, STEPS) for epsilon in epsilons]
            accuracies = robust_accuracy(network, chosen, attacks, generator)
            rows.append([name, *(f"{accuracy:.1%}" for accuracy in accuracies)])

    lines = [
        "# The built-in pair",
        "",
        "`demo-s` and `demo-r` are the small network of `shapebias train` (five convolutions of 24 to 160 units),",
        "trained on the built-in images as they are, and on images under attack (projected gradient descent).",
        "",
        "    shapebias precompute --store demo.zarr    # measures the two networks on the built-in images",
        "",
        "This page is written by `python -m benchmarks.demo_pair --write docs/demo-pair.md`.",
        "",
        *recipe(),
        "## Measured",
        "",
        f"The built-in images are drawn at {drawn:.0f} a second on one core, other jobs running.",
        "",
        "Accuracy on the 2000 probe images, which neither network learned from:",
        "",
        *table(["", "accuracy"], accuracy),
        "The 1200 cue-conflict images (one class's shape filled with another's texture): decisions, and "
        "the shape bias, shape / (shape + texture):",
        "",
        *table(["", "shape", "texture", "other", "shape bias"], bias),
        f"Accuracy on {options.images} probe images under attack: {STEPS} steps, step size 2.5 epsilon / {STEPS}, "
        "random start. l2, epsilon:",
        "",
        *table(["", *(f"{epsilon:g}" for epsilon in EPSILONS)], robust),
        "linf, epsilon in 255ths:",
        "",
        *table(["", *(f"{epsilon * 255:g}" for epsilon in LINF)], robust_linf),
        *tried(),
        "## Log",
        "",
        *(line for name in PAIR for line in log(name)),
    ]
    publish(lines, options.write)


if __name__ == "__main__":
    main()
