"""What models decide for images, as they are or in several versions of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.loader import Batch
from shapebias.precompute.images.versions import SILHOUETTE
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Parts, Rows, by_image
from shapebias.precompute.statistics.state import Part

NOT_SHOWN = -1  # an image that could not be used, or that has no such version


@dataclass(frozen=True)
class Deciding:
    """Measures the decisions of the models at `models` (of the run's) for every version of a scan's images."""

    models: tuple[int, ...]
    versions: tuple[str, ...] | None = None

    def start(self, runners: Sequence[Runner]) -> "DecidedShard":
        chosen = {model: runners[model] for model in self.models if runners[model].outputs is not None}
        return DecidedShard(chosen, self.versions)


class DecidedShard:
    """What is measured of one shard."""

    def __init__(self, runners: dict[int, Runner], versions: tuple[str, ...] | None) -> None:
        self._runners, self._versions = runners, versions
        self._rows = Rows()

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        self._rows.add(position=batch.positions)
        pixels = batch.pixels if self._versions is not None else batch.pixels[:, None]
        decided = {model: np.full(pixels.shape[:2], NOT_SHOWN, np.int32) for model in self._runners}
        for version, name in enumerate(self._versions or ("",)):
            changed = np.ascontiguousarray(pixels[:, version])
            shown = changed.min((1, 2, 3)) < 255 if name == SILHOUETTE else np.ones(len(changed), bool)
            if not shown.any():
                continue
            for model, runner in self._runners.items():
                decided[model][shown, version] = runner.decide(runner.forward(changed))[shown]
        for model, decisions in decided.items():
            self._rows.add(**{str(model): decisions})

    def part(self) -> Part:
        """`position`, and int32 [images, versions] by each model's number."""
        return self._rows.part()


def decisions_of(parts: Parts, images: int, models: Sequence[int]) -> dict[int, NDArray[np.int32]]:
    """int32 [images, versions] by model, NOT_SHOWN where there is none; of no model that decides nothing."""
    deciding = {name for part in parts for name in part}
    known = [model for model in models if str(model) in deciding]
    found = by_image(parts, images, [str(model) for model in known])
    return {model: found[str(model)] for model in known}
