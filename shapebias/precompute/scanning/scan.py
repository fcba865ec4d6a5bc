"""A scan: one pass over images, split into shards, each of which gives a part.

The result is made from the parts in order.

Shards depend only on the settings, so the result does not depend on which process measures which shard, or when.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.device import Device
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.memory import memory_guarded
from shapebias.precompute.parts import Part
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.scanning.upload import DeviceBatch

_SHARDS = 128  # about so many, however many images there are
_LEAST = {"cpu": 16, "cuda": 64}  # batches a shard: fewer are not worth a file, nor that a GPU waits for its end
_COSTLY = {"cpu": 16, "cuda": 64}  # images a shard, and a batch, where each costs hundreds of forwards
_LARGEST = 256 << 20  # bytes of what a shard keeps of its images, one by one
_SKIPPED = "skipped"  # in every part: the shard's images that could not be used, as JSON


class ShardMeasure(Protocol):
    """The measurements of one shard, made batch by batch."""

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch; its positions are those in the scan."""

    def part(self) -> Part:
        """Return the results of the batches."""


class Measure(Protocol):
    """A kind of measurement that is made for every shard. It is pickled to be sent to the workers."""

    def start(self, runners: Sequence[Runner]) -> ShardMeasure:
        """Return an empty measurement for one shard; `runners` are all of the run."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One pass over images.

    name:         unique in a run; also the name of its folder
    title:        the text for the user
    positions:    int64, which images of the listing; None for all
    image_bytes:  how many bytes of each image a part keeps
    costly:       whether an image costs hundreds of forwards, so that shards are small

    The other fields are as in `Stream.batches`.
    """

    name: str
    title: str
    image_set: ImageSet
    geometry: Geometry
    measure: Measure
    positions: NDArray[np.int64] | None = None
    versions: tuple[str, ...] | None = None
    thumbnails: bool = False
    annotations: Annotations | None = None
    image_bytes: int = 16
    costly: bool = False

    def __len__(self) -> int:
        return len(self.image_set) if self.positions is None else len(self.positions)

    @property
    def arrays(self) -> int:
        """The number of arrays uint8 [crop, crop, 3] that come with each image."""
        return len(self.versions or "1") if self.annotations is None else self.annotations.versions

    def batch_size(self, stream: Stream) -> int:
        """Return the number of images in a batch."""
        usual = stream.batch_size(self.geometry, self.arrays)
        return min(usual, _COSTLY[stream.device.device.type]) if self.costly else usual

    def shards(self, batch_size: int, shard_size: int | None, kind: str = "cpu") -> list[range]:
        """Return the images in each shard: whole batches, so that a shard's batches do not depend on where the scan
        starts.
        """
        least = _COSTLY[kind] if self.costly else _LEAST[kind] * batch_size
        size = shard_size or max(least, min(-(-len(self) // _SHARDS), _LARGEST // self.image_bytes))
        size = -(-size // batch_size) * batch_size
        return [range(first, min(first + size, len(self))) for first in range(0, len(self), size)]


class Parts(Protocol):
    """The parts of all shards, in order, which can be iterated repeatedly; and the images of the scan that could not be
    used.
    """

    def __iter__(self) -> Iterator[Mapping[str, NDArray[Any]]]: ...

    @property
    def skipped(self) -> list[Skipped]:
        """The images that could not be used."""


class Task(Protocol):
    """Work other than a scan that needs networks. It is pickled to be sent to the workers."""

    def __call__(self, runners: Sequence[Runner], device: Device, progress: Reporter) -> Any:
        """Return its result; `runners` are all of the run, on `device`.

        Raises ShapebiasError where the network fails.
        """


class Engine(Protocol):
    """Measures shards. `notes` are remarks for the user."""

    @property
    def notes(self) -> list[str]:
        """Remarks for the user."""

    def run(self, scan: Scan) -> Parts:
        """Measure every shard of a scan, once. Raises ShapebiasError."""

    def run_tasks(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield each task's number and result, in the order in which they are finished. Raises ShapebiasError."""


def measure_shards(
    scan: Scan, shards: Sequence[range], runners: Sequence[Runner], stream: Stream, *, batch_size: int
) -> Iterator[Part]:
    """Yield the parts of some shards, ascending ones, from a single stream of images.

    All shards but the last are of one size, a multiple of `batch_size`. Raises OutOfMemoryError where the device has
    too little memory, wherever that is noticed.
    """
    if not shards:
        return
    with memory_guarded(f"{scan.title} does not fit into the memory of {stream.device}: try a smaller --batch-size"):
        yield from _measured(scan, shards, runners, stream, batch_size=batch_size)


def _measured(
    scan: Scan, shards: Sequence[range], runners: Sequence[Runner], stream: Stream, *, batch_size: int
) -> Iterator[Part]:
    """Yield the parts of shards, as `measure_shards` does."""
    chosen = np.concatenate([np.arange(shard.start, shard.stop) for shard in shards])
    batches = stream.batches(
        scan.title,
        scan.geometry,
        chosen if scan.positions is None else scan.positions[chosen],
        versions=scan.versions,
        thumbnails=scan.thumbnails,
        annotations=scan.annotations,
        batch_size=batch_size,
    )
    done, skipped = 0, _SkippedByShard(scan, stream)
    measure = scan.measure.start(runners)
    for batch in batches:
        while batch.positions[0] // len(shards[0]) > done:
            yield measure.part() | skipped.part(shards[done])
            done += 1
            measure = scan.measure.start(runners)
        measure.feed(replace(batch, positions=chosen[batch.positions]))
    for shard in shards[done:]:
        yield measure.part() | skipped.part(shard)
        measure = scan.measure.start(runners)


class _SkippedByShard:
    """Finds, shard by shard, which of its images a stream skipped."""

    def __init__(self, scan: Scan, stream: Stream) -> None:
        self._scan, self._stream = scan, stream
        self._told = 0  # how many of the stream's list were reported

    def part(self, shard: range) -> Part:
        """Return the images of the next shard that were skipped, as `skipped_images` reads them."""
        skipped: list[Skipped] = []
        if len(self._stream.skipped) > self._told:
            positions = self._scan.positions
            shard_positions = shard if positions is None else positions[shard.start : shard.stop]
            paths = {self._scan.image_set.paths[position] for position in shard_positions}
            skipped = [image for image in self._stream.skipped[self._told :] if image.path in paths]
            self._told += len(skipped)
        text = json.dumps([[os.fsdecode(image.path), image.reason] for image in skipped])
        return {_SKIPPED: np.frombuffer(text.encode(), np.uint8)}


def skipped_images(part: Mapping[str, NDArray[Any]]) -> list[Skipped]:
    """Return the images of a part's shard that could not be used."""
    return [Skipped(os.fsencode(path), reason) for path, reason in json.loads(bytes(part[_SKIPPED]))]
