"""Measures shards in this process."""

from collections.abc import Sequence
from pathlib import Path

from shapebias.precompute.device import Device
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import OutOfMemoryError, Runner
from shapebias.precompute.scanning.scan import Scan, measure_shards
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings


class LocalEngine:
    """Keeps the parts of shards in `folder`; what is there already is not measured again.

    Where the device has too little memory for a batch, batches are halved, once and for all, and the shard is begun
    again; `notes` say so.
    """

    def __init__(
        self, runners: Sequence[Runner], settings: Settings, device: Device, progress: Reporter, folder: Path
    ) -> None:
        self._runners, self._settings, self._device, self._progress = runners, settings, device, progress
        self._folder = folder
        self._largest: int | None = None  # batch that fits into memory, once that is known
        self.notes: list[str] = []

    def run(self, scan: Scan) -> Shards:
        """Every shard of a scan, measured. Raises ShapebiasError."""
        stream = Stream(scan.images, self._settings, self._device, self._progress)
        batch_size = stream.batch_size(scan.geometry, scan.arrays)
        shards = Shards(self._folder / scan.name, scan.shards(batch_size, self._settings.shard_size))
        while missing := shards.missing():
            fitting = min(batch_size, self._largest or batch_size)
            together = missing if fitting == batch_size else missing[:1]  # smaller batches may straddle shards
            ranges = [shards.ranges[number] for number in together]
            try:
                for number, part in zip(
                    together, measure_shards(scan, ranges, self._runners, stream, fitting), strict=True
                ):
                    shards.keep(number, part)
            except OutOfMemoryError:
                if fitting == 1:
                    raise
                self._largest = fitting // 2
                self.notes.append(f"not enough memory for {fitting} images at once: went on with {self._largest}")
        return shards
