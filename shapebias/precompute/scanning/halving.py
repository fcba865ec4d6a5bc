"""Halves batches that do not fit into the device's memory."""

from collections.abc import Callable, Iterable

from shapebias.precompute.memory import OutOfMemoryError, release
from shapebias.precompute.parts import Part
from shapebias.precompute.scanning.shards import Shards

MeasureMissing = Callable[[list[int], int], Iterable[tuple[int, Part]]]


class BatchHalving:
    """Halves the batches of all scans each time that one does not fit into memory, and says so in `notes`."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._largest: int | None = None  # batch that fits, once that is known

    def measure_all(self, shards: Shards, batch_size: int, measure: MeasureMissing) -> None:
        """Measure every missing shard of `shards` and keep its part.

        `measure(missing, batch_size)` yields the number and the part of at least some of the missing shards. Where it
        raises OutOfMemoryError, it is called again with batches of half the size for the shards that are still missing.
        Raises OutOfMemoryError where even one image is too large.
        """
        while missing := shards.missing():
            fitting = min(batch_size, self._largest or batch_size)
            if not self._measured(shards, measure(missing, fitting), last=fitting == 1):
                release()
                self._largest = fitting // 2
                self.notes.append(f"not enough memory for {fitting} images at once: went on with {self._largest}")

    @staticmethod
    def _measured(shards: Shards, parts: Iterable[tuple[int, Part]], *, last: bool) -> bool:
        """Keep parts, and return whether there was enough memory; on the `last` attempt OutOfMemoryError is raised."""
        try:
            shards.keep_all(parts)
        except OutOfMemoryError:
            if last:
                raise
            return False
        return True
