"""Measures shards in this process."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shapebias.precompute.device import Device
from shapebias.precompute.parts import Part
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.halving import BatchHalving
from shapebias.precompute.scanning.scan import Scan, Task, measure_shards
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings
from shapebias.precompute.statistics.kernels.on_gpu import fault


class LocalEngine:
    """Measures shards in this process and keeps their parts in a folder.

    Shards whose parts are already there are not measured again. Where the device has too little memory for a batch,
    batches are halved (see `BatchHalving`), as `notes` then say.

    runners:  the networks of the run, on `device`
    folder:   where the parts of each scan are kept, in a sub-folder of its own
    seconds:  how long all scans and tasks have taken so far
    waited:   how many of these seconds scans waited for images
    """

    def __init__(
        self, runners: Sequence[Runner], settings: Settings, device: Device, progress: Reporter, *, folder: Path
    ) -> None:
        self._runners, self._settings, self._device, self._progress = runners, settings, device, progress
        self._folder = folder
        self._halving = BatchHalving()
        self.seconds = self.waited = 0.0

    @property
    def notes(self) -> list[str]:
        """Remarks for the user, a line each: batches that were halved, and why statistics on a GPU are slower."""
        reason = fault() if self._device.is_cuda else None
        slower = [] if reason is None else [f"statistics by PyTorch's own operations, which take longer: {reason}"]
        return [*self._halving.notes, *slower]

    def run(self, scan: Scan) -> Shards:
        """Measure the shards of a scan whose parts are not in the folder yet, and return the parts of all shards.

        Images that cannot be used are left out, and listed in the result's `skipped`. Raises ShapebiasError where a
        network fails, there is too little memory, workers do not start, a server cannot be reached, or a part
        cannot be read or written.
        """
        start = time.perf_counter()
        stream = Stream(scan.image_set, self._settings, self._device, self._progress)
        batch_size = scan.batch_size(stream)
        ranges = scan.shards(batch_size, self._settings.shard_size, self._device.device.type)
        shards = Shards(self._folder / scan.name, ranges)

        def measure(missing: list[int], fitting: int) -> Iterable[tuple[int, Part]]:
            together = missing if fitting == batch_size else missing[:1]  # smaller batches may straddle shards
            ranges = [shards.ranges[number] for number in together]
            parts = measure_shards(scan, ranges, self._runners, stream, batch_size=fitting)
            return zip(together, parts, strict=True)

        self._halving.measure_all(shards, batch_size, measure)
        self.seconds += time.perf_counter() - start
        self.waited += stream.waited
        return shards

    def run_tasks(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield each task's index in `tasks` and its result, in order. Raises the ShapebiasError of a task."""
        for number, task in enumerate(tasks):
            start = time.perf_counter()
            result = task(self._runners, self._device, self._progress)
            self.seconds += time.perf_counter() - start
            yield number, result
