"""The images a network learns from: decoded once and kept where they fit into memory, else decoded every epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.device import Device
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import load
from shapebias.precompute.progress import Reporter

_MEMORY = 4 << 30  # bytes of pixels that are kept


@dataclass
class TrainingImages:
    """Images with their labels. `pixels` uint8 [images, crop, crop, 3], None where they are decoded every epoch."""

    images: ImageSet
    geometry: Geometry
    workers: int
    pixels: Tensor | None
    labels: Tensor  # int64 [images]
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """uint8 [B, crop, crop, 3] and int64 [B] of the images `order` (int64, places in this set), in that order."""
        if self.pixels is not None:
            for chosen in torch.split(order, batch_size):
                yield self.pixels[chosen], self.labels[chosen]
            return
        with load(self.images.take(order.numpy()), self.geometry, batch_size, self.workers) as loader:
            for batch in loader:
                yield torch.from_numpy(batch.pixels), self.labels[order[torch.from_numpy(batch.positions)]]


def read_images(images: ImageSet, geometry: Geometry, workers: int, progress: Reporter) -> TrainingImages:
    """Decodes the images where they fit into memory. Raises UsageError for labels that nothing can be learned from."""
    _check_labels(images)
    labels = torch.from_numpy(images.labels.astype(np.int64))
    size = len(images) * geometry.crop**2 * 3
    if size > _MEMORY:
        return TrainingImages(images, geometry, workers, None, labels, [])
    pixels = torch.empty(len(images), geometry.crop, geometry.crop, 3, dtype=torch.uint8)
    used: list[NDArray[np.int64]] = []
    count = 0
    progress.stage("decoding images", len(images))
    with load(images, geometry, 64, workers) as loader:
        for batch in loader:
            pixels[count : count + len(batch.positions)] = torch.from_numpy(batch.pixels)
            count += len(batch.positions)
            used.append(batch.positions)
            progress.advance(len(batch.positions))
    if not used:
        raise ShapebiasError(f"none of the images in {printable(str(images.root))} can be used")
    labels = labels[torch.from_numpy(np.concatenate(used))]
    return TrainingImages(images, geometry, workers, pixels[:count], labels, loader.skipped)


def _check_labels(images: ImageSet) -> None:
    shown = printable(str(images.root))
    if (images.labels < 0).any():
        raise UsageError(f"{shown} has images without a class: training needs a folder of class folders")
    if len(np.unique(images.labels)) < 2:
        raise UsageError(f"{shown} has one class only: training needs at least two class folders")


def to_inputs(pixels: Tensor, device: Device) -> Tensor:
    """uint8 [B, H, W, 3] as float32 [B, 3, H, W] in [0, 1], channels_last, on the device."""
    if device.is_cuda:
        pixels = pixels.pin_memory()
    return pixels.to(device.device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


def augmented(images: Tensor, flip: bool, shift: int, generator: torch.Generator) -> Tensor:
    """[B, 3, H, W], each mirrored with probability 1/2 (`flip`) and moved by up to `shift` px, its edge repeated.

    `generator` is the CPU's.
    """
    if flip:
        mirrored = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
    if shift:
        height, width = images.shape[2:]
        padded = torch.nn.functional.pad(images, (shift,) * 4, mode="replicate")
        offsets = torch.randint(0, 2 * shift + 1, (len(images), 2), generator=generator).tolist()
        images = images.clone(memory_format=torch.channels_last)
        for index, (y, x) in enumerate(offsets):
            images[index] = padded[index, :, y : y + height, x : x + width]
    return images
