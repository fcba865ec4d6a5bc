"""Describe the training of the networks that come with the program, from their files' headers."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shapebias.precompute.models.own import SMALL
from shapebias.precompute.models.trained import SHIPPED, Trained, read_trained


def table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return the lines of a Markdown table, and an empty one."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def publish(lines: Iterable[str], page: Path | None) -> None:
    """Print the lines of a page, and write them to its file if it has one."""
    text = "\n".join(lines).rstrip() + "\n"
    if page is not None:
        page.write_text(text, "utf-8")
    print(text)


def trained(name: str) -> Trained:
    """Return the header of a network that comes with the program."""
    header = read_trained(SHIPPED[name])
    assert header is not None
    return header


def minutes(name: str) -> float:
    """Return how long the training took."""
    return sum(float(epoch["seconds"]) for epoch in trained(name).recipe["history"]) / 60


def command(name: str, data: str) -> str:
    """Return the command that trains a network of this name again."""
    header = trained(name)
    options = [*_architecture(header), f"--epochs {header.recipe['epochs']}", *_augmentation(header.recipe)]
    options += _attack(header.recipe["attack"])
    return f"shapebias train --data {data} --output {name}.safetensors {' '.join(options)}"


def _architecture(header: Trained) -> list[str]:
    return [] if header.architecture == SMALL else [f"--architecture {header.architecture}"]


def _augmentation(recipe: dict[str, Any]) -> list[str]:
    options = ["--flip"] if recipe["flip"] else []
    options += [f"--shift {recipe['shift']}"] if recipe["shift"] else []
    options += [f"--held-out {recipe['held_out']:g}"] if recipe["held_out"] != 0.1 else []
    return options + (["--precision bf16"] if recipe["dtype"] == "bfloat16" else [])


def _attack(attack: dict[str, Any] | None) -> list[str]:
    if attack is None:
        return []
    options = [f"--adversarial {attack['norm']}", f"--epsilon {attack['epsilon']:g}", f"--steps {attack['steps']}"]
    return [*options, f"--step-size {attack['step_size']:g}"]


def log(name: str) -> list[str]:
    """Return the lines of a section on what every epoch gave."""
    header = trained(name)
    recipe = header.recipe
    held_out = min(1000, round(recipe["held_out"] * recipe["images"]))
    rows = [
        [str(epoch["number"]), f"{epoch['loss']:.3f}"]
        + ["–" if epoch[key] is None else f"{epoch[key]:.1%}" for key in ("accuracy", "robust_accuracy")]
        + [f"{epoch['seconds']:.0f}"]
        for epoch in recipe["history"]
    ]
    return [
        f"### {name}",
        "",
        f"{len(rows)} epochs in {minutes(name):.1f} minutes, {SHIPPED[name].stat().st_size:,} bytes. Accuracy is of "
        f"{held_out} held-out training images, robust accuracy of them under the attack that is trained against.",
        "",
        *table(["epoch", "loss", "accuracy", "robust", "seconds"], rows),
    ]
