"""Halves batches that do not fit into the device's memory."""

from collections.abc import Callable, Iterable

from shapebias.precompute.memory import OutOfMemoryError, release
from shapebias.precompute.parts import Part
from shapebias.precompute.scanning.shards import Shards

MeasureMissing = Callable[[list[int], int], Iterable[tuple[int, Part]]]


class BatchHalving:
    """Halves the batches of all further scans each time that a batch does not fit into memory.

    `notes` has a line for each time.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._largest: int | None = None  # the number of images that a batch may have; None while no limit is known

    def measure_all(self, shards: Shards, batch_size: int, measure: MeasureMissing) -> None:
        """Measure every missing shard of `shards` and keep its part.

        `measure(missing, batch_size)` gets the missing shards' numbers and the number of images in a batch; it yields
        the number and the part of at least one of these shards. Where it raises OutOfMemoryError, it is called again
        with batches of half the size for the shards that are still missing. Raises OutOfMemoryError where even one
        image is too large, and the other errors of `measure` and `Shards.keep`.
        """
        while missing := shards.missing():
            fitting = min(batch_size, self._largest or batch_size)
            if not self._measured(shards, measure(missing, fitting), last=fitting == 1):
                release()
                self._largest = fitting // 2
                self.notes.append(f"not enough memory for {fitting} images at once: went on with {self._largest}")

    @staticmethod
    def _measured(shards: Shards, parts: Iterable[tuple[int, Part]], *, last: bool) -> bool:
        """Keep the parts, and return whether there was enough memory to measure them all.

        Where there was not, the `last` attempt raises OutOfMemoryError.
        """
        try:
            shards.keep_all(parts)
        except OutOfMemoryError:
            if last:
                raise
            return False
        return True
