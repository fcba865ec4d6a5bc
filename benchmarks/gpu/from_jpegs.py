"""Section F: a run from JPEGs to a store, and where its time goes; decoding alone."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from benchmarks.gpu.networks import spec
from benchmarks.gpu.passes import PassesContest
from benchmarks.gpu.setup import Record, Setup
from benchmarks.gpu.speed import seconds
from shapebias.core.errors import UsageError
from shapebias.precompute.device import Device
from shapebias.precompute.images.loader import Loader, load
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.run import precompute
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.settings import DECODINGS, EXACT, Settings
from shapebias.precompute.writer import StoreWriter

TARGET = 0.9  # of the slower of decoding and the pass
_TIMED = (
    ("waiting for images", Loader, "next_batch"),
    ("copying", Device, "upload"),
    ("writing parts", Shards, "keep"),
    ("committing the store", StoreWriter, "commit"),
)
_BEFORE = ("listing images", "loading models")  # stages that do not grow with the images


class Stages:
    """Notes how long each stage of a run takes."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stage, self._started = "", time.perf_counter()

    def stage(self, what: str, total: int | None = None, unit: str = "images") -> None:
        self.end()
        self._stage = what

    def advance(self, steps: int) -> None: ...

    def end(self) -> None:
        """Note the end of the stage that runs."""
        now = time.perf_counter()
        self.seconds[self._stage] += now - self._started
        self._started = now


@contextmanager
def timed() -> Iterator[defaultdict[str, float]]:
    """Yield the seconds that a run spends waiting for images, copying and writing, while the block runs."""
    spent: defaultdict[str, float] = defaultdict(float)

    def add(title: str, took: float) -> None:
        spent[title] += took

    def wrapped(title: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                add(title, time.perf_counter() - start)

        return run

    with ExitStack() as stack:
        for title, owner, name in _TIMED:
            stack.enter_context(mock.patch.object(owner, name, wrapped(title, getattr(owner, name))))
        yield spent


def from_jpegs(setup: Setup, record: Record) -> None:
    """Measure decoding alone, the pass alone and both, for the fastest and the usual network."""
    decoding = max(_decoding(setup, record).values())
    for name in dict.fromkeys((setup.sizes.networks[0], setup.sizes.network)):
        _run(setup, record, name, decoding)
    for decode in (name for name in DECODINGS if name != EXACT):
        try:
            summary = precompute(_settings(setup, setup.sizes.network, decode=decode), Stages())
        except UsageError as error:
            record.absent[f"--decode {decode}"] = str(error)
            continue
        record.measured[f"{setup.sizes.network}, --decode {decode}, images/s"] = round(
            summary.images / summary.seconds, 1
        )


def _decoding(setup: Setup, record: Record) -> dict[int, float]:
    """Return the images per second that worker processes decode, by the number of processes."""
    images, _ = find_images(str(setup.photos()))
    speeds = {}
    for workers in setup.sizes.workers:
        with load(images, imagenet_preprocessing().geometry, setup.sizes.batch, workers) as loader:
            speeds[workers] = len(images) / seconds(lambda: [len(batch.positions) for batch in loader])
    record.measured["decoding alone, images/s, by processes"] = {
        workers: round(speed, 1) for workers, speed in speeds.items()
    }
    return speeds


def _settings(setup: Setup, name: str, **more: Any) -> Settings:
    return Settings(
        models=[spec(setup, name)],
        images=str(setup.photos()),
        store=setup.folder / "end-to-end.zarr",
        layers=setup.sizes.network_layers,
        batch_size=setup.sizes.batch,
        device=setup.kind,
        workers=setup.sizes.workers[-1],
        overwrite=True,
        **more,
    )


def _run(setup: Setup, record: Record, name: str, decoding: float) -> None:
    """Measure a whole run of a network, and compare it with the slower of decoding and the pass."""
    contest = PassesContest(setup, name, "auto")
    contest.passing()
    passing = contest.images / seconds(contest.passing)
    stages = Stages()
    with timed() as spent:
        summary = precompute(_settings(setup, name), stages)
    stages.end()
    [model] = summary.models
    forward = summary.images / model.network_images_per_second
    spent["forward"] = forward
    spent["statistics"] = summary.images / model.images_per_second - forward
    took = sum(time for stage, time in stages.seconds.items() if stage and stage not in _BEFORE)
    record.measured[f"{name}, images/s"] = {
        "pass alone": round(passing, 1),
        "from JPEGs": round(summary.images / took, 1),
        "whole command": round(summary.images / summary.seconds, 1),
    }
    record.measured[f"{name}, seconds by stage"] = _rounded(stages.seconds)
    record.measured[f"{name}, seconds spent"] = _rounded(spent)
    slower = min(decoding, passing)
    record.check_speed(f"{name}: from JPEGs / the slower of decoding and pass", summary.images / took / slower, TARGET)


def _rounded(by_name: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in by_name.items() if name}
