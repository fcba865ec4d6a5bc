"""What the built-in pair is: how it was trained, how accurate and how robust it is, by what it decides.

    python -m benchmarks.demo_pair [--images 500] [--write docs/demo-pair.md]

Measures the two networks that come with the program and prints a report in Markdown. The recipe and the log of the
training are read from the networks' files; everything else is measured in this run.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.attacks.descent import Normalised, robust_accuracy
from shapebias.precompute.images.builtin.drawing import builtin_set, draw_path, parse_path
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import PAIR, parse_spec
from shapebias.precompute.models.trained import SHIPPED, read_trained

STEPS = 20
EPSILONS = (0.0, 0.25, 0.5, 1.0, 2.0, 2.5)  # Euclidean, over all pixels and colours of a 64 px image in [0, 1]
LINF = (0.0, 2 / 255, 4 / 255, 8 / 255)
BATCH = 100


def images(split: str, count: int) -> tuple[Tensor, list[bytes]]:
    """float32 [count, 3, 64, 64] in [0, 1] and the paths, evenly spread over a split."""
    chosen = builtin_set(split).spread(count)
    pixels = np.stack([draw_path(path) for path in chosen.paths])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255), chosen.paths


def batches(inputs: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(torch.split(inputs, BATCH), torch.split(labels, BATCH), strict=True)


def classifier(name: str) -> Normalised:
    """One of the pair, as a function of images in [0, 1]."""
    model = load_model(parse_spec(name))
    return Normalised(model.network, model.preprocessing.mean, model.preprocessing.std).eval()


@torch.inference_mode()
def decisions(network: Normalised, inputs: Tensor) -> Tensor:
    return torch.cat([network(batch) for batch in torch.split(inputs, BATCH)]).argmax(1)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def recipe() -> tuple[list[str], list[str]]:
    """How the pair was trained, and the log of it, from the files' headers."""
    lines = ["## Recipe", "", "Networks that differ in nothing but the images that they learned from:", ""]
    seconds = 0.0
    logs = []
    for name in PAIR:
        trained = read_trained(SHIPPED[name])
        assert trained is not None
        history, attack = trained.recipe["history"], trained.recipe["attack"]
        options = f"--epochs {len(history)}"
        if attack:
            options += f" --adversarial {attack['norm']} --epsilon {attack['epsilon']:g} --steps {attack['steps']}"
            options += f" --step-size {attack['step_size']:g}"
        lines.append(f"    shapebias train --data builtin:train --output {name}.safetensors {options}")
        took = sum(epoch["seconds"] for epoch in history)
        seconds += took
        rows = [
            [str(epoch["number"]), f"{epoch['loss']:.3f}"]
            + ["–" if epoch[key] is None else f"{epoch[key]:.1%}" for key in ("accuracy", "robust_accuracy")]
            + [f"{epoch['seconds']:.0f}"]
            for epoch in history
        ]
        logs += [f"### {name}", "", f"{len(rows)} epochs in {took / 60:.1f} minutes, {SHIPPED[name].stat().st_size:,} "]
        logs[-1] += "bytes. Accuracy is of 600 held-out training images, robust accuracy of them under the attack that "
        logs[-1] += "is trained against."
        logs += ["", *table(["epoch", "loss", "accuracy", "robust", "seconds"], rows)]
    lines += ["", f"Together {seconds / 60:.0f} minutes on 2 cores, with other jobs running beside them.", ""]
    return [*lines, "The log is at the end.", ""], ["## Log", "", *logs]


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

    training, log = recipe()
    lines = [
        "# The built-in pair",
        "",
        "`demo-s` and `demo-r` are the small network of `shapebias train` (five convolutions of 24 to 160 units),",
        "trained on the built-in images as they are, and on images under attack (projected gradient descent).",
        "This page is written by `python -m benchmarks.demo_pair --write docs/demo-pair.md`.",
        "",
        *training,
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
        *log,
    ]
    text = "\n".join(lines).rstrip() + "\n"
    if options.write:
        options.write.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
