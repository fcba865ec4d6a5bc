"""Cue-conflict images of three categories, and a network's decisions for them, computed in the plainest way."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

CATEGORIES = {"cat": [0, 1, 2], "dog": [7, 4], "elephant": [3, 5, 6, 8]}  # of ten classes


def write_stimuli(folder: Path, side: int) -> None:
    """Write 24 images of `side` x `side` px, in the folders and by the names that say their shape and texture."""
    names = list(CATEGORIES)
    for number in range(24):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        shape, texture = names[number % 3], names[(number + 1 + number % 2) % 3]
        (folder / shape).mkdir(parents=True, exist_ok=True)
        picture.save(folder / shape / f"{shape}{number}-{texture}1.png")


def read_stimuli(folder: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, list[str], list[str]]:
    """Return the images of a folder as a network takes them, [images, 3, H, W], their shapes and their textures."""
    files = sorted(folder.glob("*/*.png"))
    change = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    images = torch.stack([change(Image.open(file).convert("RGB")) for file in files])
    textures = [file.stem.partition("-")[2].rstrip("0123456789") for file in files]
    return images, [file.parent.name for file in files], textures


def decisions(scores: Tensor) -> list[str]:
    """Return the decision for each image, from scores [images, 10].

    It is the category whose classes have the largest mean probability.
    """
    probabilities = torch.softmax(scores, 1)
    means = torch.stack([probabilities[:, classes].mean(1) for classes in CATEGORIES.values()], 1)
    return [list(CATEGORIES)[number] for number in means.argmax(1).tolist()]


def decisions_lost(before: list[str], after: list[str], labels: list[str]) -> int:
    """Return for how many images the decision was the image's label before, and is not after."""
    return sum(was == label != now for was, now, label in zip(before, after, labels, strict=True))
