"""What the stages of a run share."""

from collections.abc import Sequence

import numpy as np

from shapebias.core.text import printable
from shapebias.precompute.device import Device
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.decode import Geometry
from shapebias.precompute.images.folder import ImageSet, Skipped
from shapebias.precompute.inputs import Inputs
from shapebias.precompute.job import Job
from shapebias.precompute.passes.cue_conflict import CueConflict
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, by_geometry
from shapebias.precompute.scan import Engine, Parts, Scan
from shapebias.precompute.settings import Settings
from shapebias.precompute.stream import Stream
from shapebias.precompute.workplace import StartAgainError
from shapebias.precompute.writer import StoreWriter


class Run:
    """A run's images, models and passes. `used` int64 [images]: the positions in the listing of those in the store."""

    def __init__(
        self,
        settings: Settings,
        progress: Reporter,
        writer: StoreWriter,
        inputs: Inputs,
        runners: list[Runner],
        engine: Engine,
        device: Device,
    ) -> None:
        self.settings, self.progress, self.writer, self.inputs = settings, progress, writer, inputs
        self.runners, self.engine, self.device = runners, engine, device
        self.images, self.skipped = inputs.images, list(inputs.skipped)
        self.jobs = [Job(number, runner) for number, runner in enumerate(runners)]
        self.used = np.zeros(0, np.int64)
        self.cue_conflict: CueConflict | None = None
        self.annotations: Annotations | None = None
        self.watched: Parts | None = None  # what the first scan gave for the first model and those of its geometry

    def groups(self) -> list[tuple[Geometry, list[Job]]]:
        """The models that share the decoding of images."""
        groups = by_geometry(self.runners)
        return [(geometry, [self.jobs[number] for number in numbers]) for geometry, numbers in groups.items()]

    def scan_again(self, scan: Scan) -> Parts:
        """As the engine does, of images that could be read before. Raises ShapebiasError where one is gone."""
        parts = self.engine.run(scan)
        self.check_unchanged(scan.images, not parts.skipped)
        return parts

    def stream(self, images: ImageSet) -> Stream:
        """Images of a set, for passes without shards."""
        return Stream(images, self.settings, self.device, self.progress)

    @staticmethod
    def check_unchanged(images: ImageSet, same: bool) -> None:
        """Raises StartAgainError unless `same`."""
        if not same:
            raise StartAgainError(f"images in {printable(str(images.root))} changed during the run: start again")


def none_can_be_used(images: ImageSet, skipped: Sequence[Skipped], what: str = "images") -> StartAgainError:
    """What to raise then."""
    reasons = ", ".join(dict.fromkeys(each.reason for each in skipped[:100]))
    return StartAgainError(f"none of the {len(images)} {what} in {printable(str(images.root))} can be used: {reasons}")
