"""Decodes images in batches, in worker processes that work ahead of the network."""

import contextlib
import os
import queue
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shapebias.precompute.images.decode import read_pixels
from shapebias.precompute.images.fetch import Members
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.versions import make_versions
from shapebias.precompute.images.worker import Job, Outcome, Pixels, Worker, usable_pool

_AHEAD = 2  # batches that the workers fill while the caller uses others
_WORTH = 32  # images for each worker: for fewer another worker is not worth its start
_CHUNK = 16  # images a task: few, so that the first batch comes early; enough that messages cost nothing


@dataclass
class Batch:
    """Some images of a listing, in its order.

    positions:   int64 [B], the images' indices in the listing, ascending
    pixels:      uint8 [B, H, W, 3]; or [B, versions, H, W, 3], in which each version of all images is C-contiguous;
                 valid until the batch is given back, or, in a `for` loop over the loader, until the next one
    thumbnails:  B encoded images, or None where they were not asked for
    slot:        the index of the part of `Loader.memory` that the pixels lie in
    files:       the bytes of images that the caller decodes itself; empty where there are pixels
    """

    positions: npt.NDArray[np.int64]
    pixels: Pixels
    thumbnails: list[bytes] | None
    slot: int = 0
    files: list[bytes] = field(default_factory=list)


class Loader:
    """An iterator over the images of a listing in batches of `batch_size`, and a context manager that cleans up.

        with Loader(image_set.root, image_set.paths, geometry, batch_size=64, workers=2) as loader:
            for batch in loader:
                ...

    The batches are the same for any number of workers: images that fail are left out of their batch and appended to
    `skipped`, in listing order, and a batch of which nothing is left is not given. Workers start, and begin to decode,
    when the loader is made; `workers=0` decodes in this process, when a batch is asked for. A loader is used once. A
    worker's death (a decoder's crash, the system's out-of-memory killer) costs only the image that kills a fresh worker
    too.

    root, paths:      the folder (or the text before the paths) and the images' paths below it
    decode_function:  stands in for `decode.read_pixels`: from an address (see `fetch`) to uint8 [crop, crop, 3], bytes
                      that the caller decodes itself, or `ImageError`; whatever else it raises comes out of the
                      iteration. Workers must be able to import it
    version_count:    how many versions of each image `decode_function` returns, uint8 [versions, crop, crop, 3], the
                      first of which becomes the thumbnail; None: one, without that axis
    members:          where the images are in tar files; None where they are files
    held:             how many batches the caller uses at a time; with more than one, the caller asks for each by
                      `next_batch` and returns it by `give_back`

    The attribute `memory`, uint8 [slots, versions, images of a slot, crop, crop, 3], holds the pixels of all batches.
    Raises `ShapebiasError` while it is iterated where workers do not start or a server cannot be reached.
    """

    def __init__(
        self,
        root: Path | bytes,
        paths: Sequence[bytes],
        geometry: Geometry,
        batch_size: int,
        *,
        workers: int,
        thumbnails: bool = False,
        decode_function: Callable[[bytes], Pixels | bytes] | None = None,
        version_count: int | None = None,
        members: Members | None = None,
        held: int = 1,
    ) -> None:
        self.skipped: list[Skipped] = []
        self._folder = root if isinstance(root, bytes) else os.fsencode(root.absolute())
        self._paths = paths
        self._members = members
        self._batch_size = min(batch_size, max(len(paths), 1))
        self._single = version_count is None
        slots = held + _AHEAD if workers else held
        shape = (slots, version_count or 1, self._batch_size, geometry.crop, geometry.crop, 3)
        self._job = Job(decode_function or partial(read_pixels, geometry=geometry), thumbnails, shape)
        self._chunk = min(_CHUNK, -(-self._batch_size // workers)) if workers else self._batch_size
        self._next = 0
        self._pending: deque[_Pending] = deque()
        self._closed = self._finished = False  # finished: no worker has anything to do any more
        self._resources = contextlib.ExitStack()
        self._executor: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        try:
            self.memory = self._start(workers) if workers else np.empty(shape, np.uint8)
            for slot in range(slots):
                self._submit(slot)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        if self._closed:
            raise RuntimeError("this loader is closed: make a new one to read the images again")
        try:
            while (batch := self.next_batch()) is not None:
                yield batch
                self.give_back(batch)
        finally:
            self.close()

    @property
    def ready(self) -> bool:
        """Whether the next batch is decoded already; never where this process decodes, nor after the last batch."""
        return bool(self._pending) and all(chunk.done() for chunk in self._pending[0].chunks)

    def next_batch(self) -> Batch | None:
        """Return the next batch that has an image left; None after the last.

        Waits until it is decoded. Its pixels stay until `give_back` is called with it.
        """
        while self._pending:
            batch = self._collect(self._pending.popleft())
            if len(batch.positions):
                return batch
            self.give_back(batch)
        self._finished = self._next == len(self._paths)
        return None

    def give_back(self, batch: Batch) -> None:
        """Let the workers decode other images into a batch's memory."""
        self._submit(batch.slot)

    def close(self) -> None:
        """Stop the workers, and free the memory as soon as no batch uses it. A second call does nothing."""
        self._closed = True
        self._pending.clear()
        self._next = len(self._paths)
        self._resources.close()

    def _start(self, workers: int) -> Pixels:
        """Start the workers; return the memory that they share with this process."""
        pool = self._resources.enter_context(usable_pool())
        self._executor = ThreadPoolExecutor(workers, "images")
        self._resources.callback(self._executor.shutdown, cancel_futures=True)
        lent, memory = pool.lend(workers, self._job)
        # Called before the executor waits for its threads.
        self._resources.callback(lambda: pool.take_back(lent, idle=self._finished))
        for worker in lent:
            self._idle.put(worker)
        return memory

    def _submit(self, slot: int) -> None:
        """Start decoding the next batch into a slot, if images are left."""
        first = self._next
        last = min(first + self._batch_size, len(self._paths))
        if first >= last:
            return
        self._next = last
        chunks: list[_Chunk] = []
        for start in range(first, last, self._chunk):
            stop = min(start + self._chunk, last)
            addresses = [self._address(index) for index in range(start, stop)]
            task = partial(self._decode, slot, start - first, addresses)
            chunks.append(self._executor.submit(task) if self._executor else _Later(task))
        self._pending.append(_Pending(first, last - first, slot, chunks))

    def _address(self, index: int) -> bytes:
        """Return the address of the image with this index in the listing, for a decoder: see `fetch`."""
        path = self._folder + b"/" + self._paths[index]
        return path if self._members is None else self._members.address(path, index)

    def _decode(self, slot: int, first: int, paths: list[bytes]) -> list[Outcome]:
        if self._executor is None:
            return self._job.run(paths, self.memory[slot, :, first : first + len(paths)])
        worker = self._idle.get()  # there are as many threads as workers
        try:
            return worker.decode(slot, first, paths)
        finally:
            self._idle.put(worker)

    def _collect(self, pending: "_Pending") -> Batch:
        outcomes = [outcome for chunk in pending.chunks for outcome in chunk.result()]
        kept, encoded = [], []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, bytes):
                kept.append(index)
                encoded.append(outcome)
            else:
                self.skipped.append(Skipped(self._paths[pending.first + index], outcome))
        versions = self.memory[pending.slot]
        if len(kept) < pending.count:
            for version in versions:
                version[: len(kept)] = version[kept]
        pixels = versions[0, : len(kept)] if self._single else versions[:, : len(kept)].swapaxes(0, 1)
        positions = pending.first + np.array(kept, np.int64)
        if self._job.thumbnails:
            return Batch(positions, pixels, encoded, pending.slot)
        return Batch(positions, pixels, None, pending.slot, encoded)


class _Chunk(Protocol):
    """The outcomes of a few neighbouring images of a batch, which may still be decoded: a future, or `_Later`."""

    def done(self) -> bool:
        """Return whether the images are decoded."""

    def result(self) -> list[Outcome]:
        """Wait until the images are decoded, and return their outcomes. Raises what decoding raised."""


@dataclass
class _Later:
    """The outcomes of images that are decoded in this process, when they are asked for."""

    result: Callable[[], list[Outcome]]

    def done(self) -> bool:
        """Return False: the images are decoded only when `result` is called."""
        return False


@dataclass
class _Pending:
    """A batch that is being decoded.

    first:   the index of its first image in the listing
    count:   how many images it has
    slot:    the part of the memory that it is decoded into
    chunks:  the outcomes of its images, a few at a time, in order
    """

    first: int
    count: int
    slot: int
    chunks: Sequence[_Chunk]


def load(
    image_set: ImageSet,
    geometry: Geometry,
    batch_size: int,
    workers: int,
    *,
    thumbnails: bool = False,
    versions: tuple[str, ...] | None = None,
    seed: int = 0,
    packed: tuple[Callable[[bytes], Pixels], int] | None = None,
    undecoded: Callable[[bytes], Pixels | bytes] | None = None,
    held: int = 1,
) -> Loader:
    """Return a loader of an image set, whether its images are files or drawn, in batches of `batch_size`.

    workers, thumbnails, held:  as in `Loader`
    versions:                   the names of the versions of every image to load (see `versions.Versions`); None: the
                                image alone
    seed:                       of the versions' distortions
    packed:                     where annotated images are loaded, `Annotations.pack` and `Annotations.versions`
    undecoded:                  a function from an address to pixels, or to bytes that the caller decodes itself
    """
    decode: Callable[[bytes], Pixels | bytes]
    decode, count = (image_set.decoder(geometry), None) if packed is None else packed
    if versions is not None:
        decode, count = make_versions(image_set, geometry, versions, seed), len(versions)
    if undecoded is not None:
        decode, count = undecoded, None
    return Loader(
        image_set.prefix,
        image_set.paths,
        geometry,
        batch_size,
        workers=workers,
        thumbnails=thumbnails,
        decode_function=decode,
        version_count=count,
        members=image_set.members,
        held=held,
    )


def default_workers(images: int) -> int:
    """Return how many workers to use for so many images, at least 1.

    There is one for each processor that this process may use, but at most one for every 32 images.
    """
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return max(1, min(count or 1, -(-images // _WORTH)))
