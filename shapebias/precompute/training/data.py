"""The images that a network is trained on: decoded once where they fit into memory, else in every epoch."""

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

_MEMORY = 4 << 30  # images are kept decoded if their pixels have at most so many bytes


@dataclass(kw_only=True)
class TrainingImages:
    """Images with their labels.

    pixels:   uint8 [images, crop, crop, 3]; None where images are decoded in every epoch
    labels:   int64 [images]
    skipped:  the images that could not be used, with the reasons; empty where images are decoded in every epoch
    """

    image_set: ImageSet
    geometry: Geometry
    workers: int
    pixels: Tensor | None
    labels: Tensor
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pixels uint8 [B, crop, crop, 3] and labels int64 [B] of the images at `order`, int64 indices.

        Images that turn out to be unusable while they are decoded are left out.
        """
        if self.pixels is not None:
            for chosen in torch.split(order, batch_size):
                yield self.pixels[chosen], self.labels[chosen]
            return
        with load(self.image_set.take(order.numpy()), self.geometry, batch_size, self.workers) as loader:
            for batch in loader:
                yield torch.from_numpy(batch.pixels), self.labels[order[torch.from_numpy(batch.positions)]]


def read_images(image_set: ImageSet, geometry: Geometry, workers: int, progress: Reporter) -> TrainingImages:
    """Return the images to learn from, decoded here by `workers` processes if they fit into memory, else every epoch.

    Raises UsageError for labels that nothing can be learned from, ShapebiasError where no image decoded here is usable.
    """
    _check_labels(image_set)
    labels = torch.from_numpy(image_set.labels.astype(np.int64))
    size = len(image_set) * geometry.crop**2 * 3
    if size > _MEMORY:
        return TrainingImages(
            image_set=image_set, geometry=geometry, workers=workers, pixels=None, labels=labels, skipped=[]
        )
    pixels = torch.empty(len(image_set), geometry.crop, geometry.crop, 3, dtype=torch.uint8)
    used: list[NDArray[np.int64]] = []
    count = 0
    progress.stage("decoding images", len(image_set))
    with load(image_set, geometry, 64, workers) as loader:
        for batch in loader:
            pixels[count : count + len(batch.positions)] = torch.from_numpy(batch.pixels)
            count += len(batch.positions)
            used.append(batch.positions)
            progress.advance(len(batch.positions))
    if not used:
        raise ShapebiasError(f"none of the images in {printable(str(image_set.root))} can be used")
    labels = labels[torch.from_numpy(np.concatenate(used))]
    return TrainingImages(
        image_set=image_set,
        geometry=geometry,
        workers=workers,
        pixels=pixels[:count],
        labels=labels,
        skipped=loader.skipped,
    )


def _check_labels(image_set: ImageSet) -> None:
    root = printable(str(image_set.root))
    if (image_set.labels < 0).any():
        raise UsageError(
            f"{root} has images without a class: training needs class folders, a list with classes, or --labels FILE"
        )
    if len(np.unique(image_set.labels)) < 2:
        raise UsageError(f"{root} has one class only: training needs at least two class folders")


def to_inputs(pixels: Tensor, device: Device) -> Tensor:
    """Return uint8 [B, H, W, 3] as float32 [B, 3, H, W] in [0, 1], channels_last, on the device."""
    if device.is_cuda:
        pixels = pixels.pin_memory()
    return pixels.to(device.device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


def augmented(batch: Tensor, flip: bool, shift: int, generator: torch.Generator) -> Tensor:
    """Return images [B, 3, H, W], changed at random with the numbers of a `generator` of the CPU.

    With `flip`, each image is mirrored with probability 1/2. It is moved by up to `shift` px in both directions, where
    what comes in at the border repeats the edge.
    """
    if flip:
        mirrored = torch.rand(len(batch), generator=generator) < 0.5
        batch = torch.where(mirrored.to(batch.device)[:, None, None, None], batch.flip(3), batch)
    if shift:
        height, width = batch.shape[2:]
        padded = torch.nn.functional.pad(batch, (shift,) * 4, mode="replicate")
        offsets = torch.randint(0, 2 * shift + 1, (len(batch), 2), generator=generator).tolist()
        batch = batch.clone(memory_format=torch.channels_last)
        for index, (y, x) in enumerate(offsets):
            batch[index] = padded[index, :, y : y + height, x : x + width]
    return batch
