"""A scan: one pass over images, cut into shards, each of which gives a part; the parts in order give the result.

Shards follow from the settings alone, so that the result does not depend on who measures which of them, or when.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.statistics.state import Part

_SHARDS = 128  # about so many, however many images there are
_LEAST = 16  # batches a shard: fewer are not worth a file
_LARGEST = 256 << 20  # bytes of what a shard keeps of its images, one by one


class Work(Protocol):
    """What is measured of one shard."""

    def feed(self, batch: Batch) -> None:
        """Takes in a batch; its positions are those in the scan."""

    def part(self) -> Part:
        """What it found."""


class Measure(Protocol):
    """What is measured of every shard. It is pickled on its way to whoever measures."""

    def start(self, runners: Sequence[Runner]) -> Work:
        """Begins with a shard; `runners` are all of the run."""


@dataclass(frozen=True)
class Scan:
    """`name` is the scan's own in a run, and of a folder; `title` is shown. `positions` int64: of the images in their
    listing, None for all; `image_bytes`: of what a part keeps of each image; the rest as in `Stream.batches`."""

    name: str
    title: str
    images: ImageSet
    geometry: Geometry
    measure: Measure
    positions: NDArray[np.int64] | None = None
    versions: tuple[str, ...] | None = None
    thumbnails: bool = False
    annotations: Annotations | None = None
    image_bytes: int = 16

    def __len__(self) -> int:
        return len(self.images) if self.positions is None else len(self.positions)

    @property
    def arrays(self) -> int:
        """How many arrays uint8 [crop, crop, 3] come with each image."""
        return len(self.versions or "1") if self.annotations is None else self.annotations.versions

    def shards(self, batch_size: int, shard_size: int | None) -> list[range]:
        """Which images are in each shard: whole batches, so that a shard's batches are the same whoever cuts them."""
        size = shard_size or max(_LEAST * batch_size, min(-(-len(self) // _SHARDS), _LARGEST // self.image_bytes))
        size = -(-size // batch_size) * batch_size
        return [range(first, min(first + size, len(self))) for first in range(0, len(self), size)]


class Parts(Protocol):
    """Every shard's part, in order, as often as one iterates; and the images of the scan that could not be used."""

    def __iter__(self) -> Iterator[Mapping[str, NDArray[Any]]]: ...

    @property
    def skipped(self) -> list[Skipped]: ...


class Engine(Protocol):
    """Who measures shards. `notes`: what to say of how it went."""

    notes: list[str]

    def run(self, scan: Scan) -> Parts:
        """Measures every shard of a scan, once. Raises ShapebiasError."""


def measure_shards(
    scan: Scan, shards: Sequence[range], runners: Sequence[Runner], stream: Stream, batch_size: int
) -> Iterator[Part]:
    """The parts of some shards, ascending ones, from a single stream of images. All but the last are of one size, a
    multiple of `batch_size`."""
    if not shards:
        return
    chosen = np.concatenate([np.arange(shard.start, shard.stop) for shard in shards])
    positions = chosen if scan.positions is None else scan.positions[chosen]
    batches = stream.batches(
        scan.title, scan.geometry, positions, scan.versions, scan.thumbnails, scan.annotations, batch_size
    )
    done, told = 0, 0
    work = scan.measure.start(runners)
    for batch in batches:
        while batch.positions[0] // len(shards[0]) > done:
            part, told = _with_skipped(work.part(), scan, shards[done], stream, told)
            yield part
            done += 1
            work = scan.measure.start(runners)
        work.feed(replace(batch, positions=chosen[batch.positions]))
    for shard in shards[done:]:
        part, told = _with_skipped(work.part(), scan, shard, stream, told)
        yield part
        work = scan.measure.start(runners)


def _with_skipped(part: Part, scan: Scan, shard: range, stream: Stream, told: int) -> tuple[Part, int]:
    """Adds to a shard's part the images of it that the stream skipped, beyond the first `told`."""
    found: list[Skipped] = []
    if len(stream.skipped) > told:
        places = shard if scan.positions is None else scan.positions[shard.start : shard.stop]
        own = {scan.images.paths[place] for place in places}
        found = [each for each in stream.skipped[told:] if each.path in own]
    text = json.dumps([[os.fsdecode(each.path), each.reason] for each in found])
    return part | {"skipped": np.frombuffer(text.encode(), np.uint8)}, told + len(found)


def skipped_images(part: Mapping[str, NDArray[Any]]) -> list[Skipped]:
    """The images of a part's shard that could not be used."""
    return [Skipped(os.fsencode(path), reason) for path, reason in json.loads(bytes(part["skipped"]))]


class Rows:
    """Collects arrays of images, batch by batch, under their names."""

    def __init__(self) -> None:
        self._lists: dict[str, list[NDArray[Any]]] = {}

    def add(self, **arrays: NDArray[Any]) -> None:
        """Arrays [B, ...] of a batch."""
        for name, array in arrays.items():
            self._lists.setdefault(name, []).append(array)

    def part(self) -> Part:
        """The arrays of all batches, joined."""
        return {name: np.concatenate(arrays) for name, arrays in self._lists.items()}


def by_image(parts: Iterable[Mapping[str, NDArray[Any]]], images: int, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The rows `names` of all parts at the places that each part's `position` gives, of `images`; -1 elsewhere.

    `seen` bool [images] is among them: whether the image came at all.
    """
    found: dict[str, NDArray[Any]] = {"seen": np.zeros(images, bool)}
    for part in parts:
        if "position" not in part:  # no image of the shard could be used
            continue
        position = part["position"]
        found["seen"][position] = True
        for name in names:
            rows = part[name]
            if name not in found:
                found[name] = np.full((images, *rows.shape[1:]), -1, rows.dtype)
            found[name][position] = rows
    return found
