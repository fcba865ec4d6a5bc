"""Models' decisions for images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.device import Pixels
from shapebias.precompute.parts import Part, Section
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows, rows_by_image
from shapebias.precompute.scanning.scan import Parts
from shapebias.precompute.scanning.upload import DeviceBatch

NOT_SHOWN = -1  # stands for the decision where an image could not be used or has no such version


@dataclass(frozen=True)
class DecisionMeasure:
    """Measures models' decisions for a scan's images. Those that give no scores decide nothing.

    models:  their numbers in the run
    among:   the indices of the outputs that they decide among; None: all
    """

    models: tuple[int, ...]
    among: tuple[int, ...] | None = None

    def start(self, runners: Sequence[Runner]) -> "DecisionShard":
        """Return an empty measurement for one shard."""
        chosen = {model: runners[model] for model in self.models if runners[model].outputs is not None}
        return DecisionShard(chosen, self.among)


class DecisionShard:
    """The decisions of models for the images of one shard."""

    def __init__(self, runners: dict[int, Runner], among: tuple[int, ...] | None) -> None:
        self._runners, self._among = runners, among
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        decided = {model: self._decide(runner, batch.sent)[:, None] for model, runner in self._runners.items()}
        self._rows.add({POSITION: batch.positions} | name_decisions(decided))

    def _decide(self, runner: Runner, pixels: Pixels) -> NDArray[np.int32]:
        """Return a model's decisions, int32 [B], indices of outputs."""
        scores = runner.forward(pixels)
        if self._among is None or scores is None:
            return runner.decide(scores)
        return np.array(self._among, np.int32)[runner.decide(scores[:, list(self._among)])]

    def part(self) -> Part:
        """Return the positions, and each model's decisions, int32 [images, 1]."""
        return self._rows.part()


def name_decisions(by_model: dict[int, NDArray[np.int32]]) -> Part:
    """Return the decisions of models, given by their numbers in the run, under the names that they have in a part."""
    return {str(Section(model)): decisions for model, decisions in by_model.items()}


def read_decisions(
    parts: Parts, image_count: int, models: Sequence[int]
) -> tuple[NDArray[np.bool_], dict[int, NDArray[np.int32]]]:
    """Return which of a scan's images could be used, bool [images], and the decisions by model, int32 [images, ...].

    `image_count` is the number of the scan's images, `models` are numbers in the run. NOT_SHOWN stands for no decision.
    A model that decides nothing is left out.
    """
    array_names = {name for part in parts for name in part}
    names = {model: str(Section(model)) for model in models if str(Section(model)) in array_names}
    seen, rows = rows_by_image(parts, image_count, list(names.values()))
    return seen, {model: rows[name] for model, name in names.items()}
