"""A scan: one pass over images, split into shards. What is measured on a shard is its part.

A scan's result is made from the parts in the order of the shards. The shards depend only on the scan, the settings and
the kind of device, so the result does not depend on which process measures which shard, or when.
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
_LEAST = {"cpu": 16, "cuda": 64}  # batches in a shard: fewer are not worth a file, nor that a GPU waits for its end
_COSTLY = {"cpu": 16, "cuda": 64}  # images in a shard, and the most in a batch, if each costs hundreds of forwards
_LARGEST = 256 << 20  # bytes that a part may keep of all images of its shard (`Scan.image_bytes` of each)
_SKIPPED = "skipped"  # in every part: the shard's images that could not be used, as JSON


class ShardMeasure(Protocol):
    """The measurements of one shard, made batch by batch."""

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch; its positions are indices among the images of the scan."""

    def part(self) -> Part:
        """Return what was measured on all batches so far, as arrays by name."""


class Measure(Protocol):
    """A kind of measurement that is made for every shard. It is pickled to be sent to the workers."""

    def start(self, runners: Sequence[Runner]) -> ShardMeasure:
        """Return an empty measurement for one shard; `runners` are all of the run."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One pass over images.

    name:         unique in a run; also the name of the folder in which its parts are kept
    title:        what the user reads while it runs
    measure:      what is measured
    positions:    int64, the images of `image_set` that the scan is of, as indices; None for all
    image_bytes:  how many bytes a part keeps of each image
    costly:       whether an image costs hundreds of forwards, so that shards are small

    The other fields are as in `Stream.batches`. The scan's length is the number of its images.
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
        """The number of arrays uint8 [crop, crop, 3] decoded for each image: its versions, or pixels and labels."""
        return len(self.versions or "1") if self.annotations is None else self.annotations.versions

    def batch_size(self, stream: Stream) -> int:
        """Return the number of images in a batch: the stream's, but few of a costly scan."""
        usual = stream.batch_size(self.geometry, self.arrays)
        return min(usual, _COSTLY[stream.device.device.type]) if self.costly else usual

    def shards(self, batch_size: int, shard_size: int | None, kind: str = "cpu") -> list[range]:
        """Return each shard's images, as a range of indices among the images of the scan; together they are all.

        A shard is a number of whole batches, so that its batches do not depend on where the scan starts; the last one
        may be smaller.

        batch_size:  images in a batch
        shard_size:  the user's number of images in a shard, which is rounded up to whole batches; None: chosen here
        kind:        cpu or cuda
        """
        least = _COSTLY[kind] if self.costly else _LEAST[kind] * batch_size
        size = shard_size or max(least, min(-(-len(self) // _SHARDS), _LARGEST // self.image_bytes))
        size = -(-size // batch_size) * batch_size
        return [range(first, min(first + size, len(self))) for first in range(0, len(self), size)]


class Parts(Protocol):
    """The parts of all shards of a scan, in order, which can be iterated repeatedly."""

    def __iter__(self) -> Iterator[Mapping[str, NDArray[Any]]]: ...

    @property
    def skipped(self) -> list[Skipped]:
        """The images of the scan that could not be used."""


class Task(Protocol):
    """Work other than a scan that needs networks. It is pickled to be sent to the workers."""

    def __call__(self, runners: Sequence[Runner], device: Device, progress: Reporter) -> Any:
        """Do the work and return its result, which can be pickled; `runners` are all of the run, on `device`.

        Raises ShapebiasError where a network fails.
        """


class Engine(Protocol):
    """Measures shards and performs tasks with a run's networks, in this process or in others."""

    @property
    def notes(self) -> list[str]:
        """Remarks for the user on what was done so far, a line each."""

    def run(self, scan: Scan) -> Parts:
        """Measure the shards of a scan that were not measured before, and return the parts of all shards.

        Images that cannot be used are left out, and listed in the result's `skipped`. Raises ShapebiasError where a
        network fails, there is too little memory, workers do not start, a server cannot be reached, or a part
        cannot be read or written.
        """

    def run_tasks(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield each task's index in `tasks` and its result, as they are finished. Raises a task's ShapebiasError."""


def measure_shards(
    scan: Scan, shards: Sequence[range], runners: Sequence[Runner], stream: Stream, *, batch_size: int
) -> Iterator[Part]:
    """Yield the part of each of some shards, in order, from a single stream of images.

    `shards` are ascending ranges, as `Scan.shards` returns them; all but the last are of one size, a multiple of
    `batch_size`. Each part also holds the skipped images of its shard (`skipped_images`). Raises OutOfMemoryError where
    the device, or this process, has too little memory, and the other ShapebiasErrors of networks and streams.
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
    """Finds the images of each shard of a scan that its stream has skipped; shards are asked for in order."""

    def __init__(self, scan: Scan, stream: Stream) -> None:
        self._scan, self._stream = scan, stream
        self._told = 0  # how many of the stream's list were reported

    def part(self, shard: range) -> Part:
        """Return a part that holds only the skipped images of the next shard, for `skipped_images` to read."""
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
    """Return the images of a shard that could not be used, from the shard's part."""
    return [Skipped(os.fsencode(path), reason) for path, reason in json.loads(bytes(part[_SKIPPED]))]
