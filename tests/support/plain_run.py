"""A run's passes in a few lines of plain PyTorch, torchvision and NumPy."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

from shapebias.core.attribution.choice import parse_choices
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.images.distort import generator, parse_distortion

LAYERS = ("block1", "block2", "block3")
MODELS = ("Tiny", "Other")
SEED = 3
ATTRIBUTION = parse_choices("gradient,random,center")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class PlainRun:
    """The files of a run and its networks, by label."""

    def __init__(self, root: Path, code: Path) -> None:
        self.path = root / "store.zarr"
        self.images, self.variant, self.stylized, self.conflict, self.ood, self.categories = (
            root / name for name in ("images", "variant", "stylized", "conflict", "ood", "categories.json")
        )
        space: dict = {}
        exec(code.read_text(), space)
        self.networks: dict[str, nn.Module] = {"Tiny": space["tiny"]().eval(), "Other": space["other"]().eval()}

    @cached_property
    def store(self) -> Store:
        return open_store(self.path)

    @cached_property
    def files(self) -> list[Path]:
        """Return the files of the probe images, in order."""
        return sorted(self.images.glob("*/*"))

    @cached_property
    def labels(self) -> np.ndarray:
        return np.array([int(file.parent.name.removeprefix("class")) for file in self.files])

    @cached_property
    def pixels(self) -> np.ndarray:
        return pixels(self.files)

    def distorted(self, name: str) -> np.ndarray:
        """Return the probe images changed by the distortion `name`, uint8 [images, 32, 32, 3]."""
        change = parse_distortion(name)
        paths = [str(file.relative_to(self.images)).encode() for file in self.files]
        changed = [
            change(image, generator(path, SEED, change.kind)) for image, path in zip(self.pixels, paths, strict=True)
        ]
        return np.stack(changed)

    def inputs(self, images: np.ndarray) -> torch.Tensor:
        normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
        return torch.stack([normalise(Image.fromarray(image)) for image in images])

    def maps(self, model: str, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of a model's layers by name, float64 [images, units, h, w], for uint8 images."""
        x, outputs = self.inputs(images), {}
        with torch.inference_mode():
            for layer in LAYERS:
                x = getattr(self.networks[model], layer)(x)
                outputs[layer] = x.double().numpy()
        return outputs

    def scores(self, model: str, images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.networks[model](self.inputs(images)).numpy()

    def decided(self, model: str, images: np.ndarray) -> np.ndarray:
        return self.scores(model, images).argmax(1)


def pixels(files: list[Path]) -> np.ndarray:
    """Return images as the networks see them, uint8 [images, 32, 32, 3]; what is transparent is white."""
    geometry = transforms.Compose(
        [transforms.Resize(40, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(32)]
    )
    pixels = []
    for file in files:
        image = Image.open(file)
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        pixels.append(np.asarray(geometry(image.convert("RGB"))))
    return np.stack(pixels)


def native_pixels(files: list[Path]) -> np.ndarray:
    """Return images as the networks see cue-conflict images, uint8 [images, 32, 32, 3]: whole, resized to 32 px."""
    images = [Image.open(file).convert("RGB") for file in files]
    whole = transforms.Resize((32, 32), transforms.InterpolationMode.BICUBIC)
    return np.stack([np.asarray(image if image.size == (32, 32) else whole(image)) for image in images])


def total_variation(maps: np.ndarray) -> np.ndarray:
    """Return the mean total variation of each unit over images, from maps [images, units, h, w]."""
    return sum(np.abs(np.diff(maps, axis=axis)).sum((2, 3)).mean(0) for axis in (2, 3))
