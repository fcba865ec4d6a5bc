"""The images of a run, decoded by worker processes, batch by batch, as often as a pass needs them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.device import Device
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import default_workers, load
from shapebias.precompute.progress import Reporter
from shapebias.precompute.scanning.gpu_decoding import GpuDecoder
from shapebias.precompute.scanning.upload import HELD, DeviceBatch, Uploads, on_device
from shapebias.precompute.settings import Settings


@dataclass
class Stream:
    """Decodes the images of one set for the networks, batch by batch.

    skipped:  images that the current or last call of `batches` could not use, so far
    waited:   seconds spent waiting for images, over all calls
    """

    image_set: ImageSet
    settings: Settings
    device: Device
    progress: Reporter
    skipped: list[Skipped] = field(default_factory=list, init=False)
    waited: float = field(default=0.0, init=False)

    def batches(
        self,
        title: str,
        geometry: Geometry,
        positions: NDArray[np.int64] | None = None,
        *,
        versions: tuple[str, ...] | None = None,
        thumbnails: bool = False,
        annotations: Annotations | None = None,
        batch_size: int | None = None,
    ) -> Iterator[DeviceBatch]:
        """Yield batches of the images at `positions` in a geometry; images that cannot be used are left out.

        title:        what progress is reported under
        positions:    indices in the set, ascending or not; None: all images. A batch's own positions are indices into
                      these
        versions:     the names of the versions of each image to decode (see `versions.Versions`); None: the image alone
        thumbnails:   whether batches have thumbnails
        annotations:  of the same images: batches have what `Annotations.pack` makes of an image; None: pixels only
        batch_size:   the number of images in a batch; None: as `batch_size` says

        Raises ShapebiasError where workers do not start or a server cannot be reached.
        """
        image_set = self.image_set if positions is None else self.image_set.take(positions)
        arrays = len(versions or "1") if annotations is None else annotations.versions
        self.progress.stage(title, len(image_set))
        decoder = GpuDecoder(image_set, geometry, versions, self.settings.seed, self.device)
        decodes = image_set.on_gpu and annotations is None and not thumbnails and decoder.able
        prefetches = self.device.is_cuda and not decodes
        done = 0
        with load(
            image_set,
            geometry,
            batch_size or self.batch_size(geometry, arrays),
            default_workers(len(image_set)) if self.settings.workers is None else self.settings.workers,
            thumbnails=thumbnails,
            versions=versions,
            seed=self.settings.seed,
            packed=None if annotations is None else (annotations.pack, annotations.versions),
            undecoded=decoder.job if decodes else None,
            held=HELD if prefetches else 1,
        ) as loader:
            self.skipped = loader.skipped
            if decodes:
                sent = decoder.batches(loader)
            elif prefetches:
                sent = iter(Uploads(loader, self.device, None if annotations is None else 1))
            else:
                sent = (on_device(batch, self.device) for batch in loader)
            for batch in self._timed(sent):
                yield batch
                self.progress.advance(int(batch.positions[-1]) + 1 - done)
                done = int(batch.positions[-1]) + 1
            self.progress.advance(len(image_set) - done)

    def _timed(self, batches: Iterator[DeviceBatch]) -> Iterator[DeviceBatch]:
        """Yield the batches, and add the seconds of waiting for each to `waited`."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def again(self, title: str, geometry: Geometry, positions: NDArray[np.int64]) -> Iterator[DeviceBatch]:
        """Yield batches as `batches` does, of images that could be read before.

        Raises ShapebiasError, after the last batch, where one of them could not be read this time.
        """
        yield from self.batches(title, geometry, positions)
        if self.skipped:
            root = printable(str(self.image_set.root))
            raise ShapebiasError(f"images in {root} changed during the run: start again")

    def batch_size(self, geometry: Geometry, versions: int) -> int:
        """Return the number of images in a batch: the user's, or the device's usual one if there is room for so many.

        There are `versions` arrays uint8 [crop, crop, 3] of each image, for which a batch has 256 MB on a GPU and 64 MB
        on the CPU.
        """
        room = 256 << 20 if self.device.is_cuda else 64 << 20
        fitting = room // (geometry.crop**2 * 3 * versions)
        return self.settings.batch_size or max(1, min(self.device.usual_batch, fitting))
