"""Models' decisions for images, unchanged or in several versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.loader import Batch
from shapebias.precompute.images.versions import SILHOUETTE
from shapebias.precompute.parts import Part, Section
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows, rows_by_image
from shapebias.precompute.scanning.scan import Parts

NOT_SHOWN = -1  # decision for an image that could not be used or has no such version


@dataclass(frozen=True)
class DecisionMeasure:
    """Measures models' decisions for every version of a scan's images.

    models:    their numbers in the run
    versions:  names of the versions; None: unchanged images
    among:     the outputs that they decide among; None: all
    """

    models: tuple[int, ...]
    versions: tuple[str, ...] | None = None
    among: tuple[int, ...] | None = None

    def start(self, runners: Sequence[Runner]) -> "DecisionShard":
        """Return a new measure of one shard."""
        chosen = {model: runners[model] for model in self.models if runners[model].outputs is not None}
        return DecisionShard(chosen, self.versions, self.among)


class DecisionShard:
    """The decisions of models for the images of one shard."""

    def __init__(
        self, runners: dict[int, Runner], versions: tuple[str, ...] | None, among: tuple[int, ...] | None
    ) -> None:
        self._runners, self._versions, self._among = runners, versions, among
        self._rows = Rows()

    def feed(self, batch: Batch) -> None:
        """Measure a batch."""
        pixels = batch.pixels if self._versions is not None else batch.pixels[:, None]
        exists = np.ones(pixels.shape[:2], bool)
        for version, name in enumerate(self._versions or ()):
            if name == SILHOUETTE:
                exists[:, version] = pixels[:, version].min((1, 2, 3)) < 255
        images = pixels.reshape(-1, *pixels.shape[2:])
        images = images if exists.all() else images[exists.ravel()]
        decided = {}
        for model, runner in self._runners.items():
            decided[model] = np.full(exists.shape, NOT_SHOWN, np.int32)
            if len(images):
                (decided[model][exists],) = runner.of_versions(partial(self._decide, runner), images)
        self._rows.add({POSITION: batch.positions} | name_decisions(decided))

    def _decide(self, runner: Runner, pixels: NDArray[np.uint8]) -> list[NDArray[np.int32]]:
        """Return a model's decisions: one array, int32 [B]; empty where it decides nothing."""
        scores = runner.forward(pixels)
        if self._among is None or scores is None:
            return [runner.decide(scores)]
        return [np.array(self._among, np.int32)[runner.decide(scores[:, list(self._among)])]]

    def part(self) -> Part:
        """Return the positions, and int32 [images, versions] of each model."""
        return self._rows.part()


def name_decisions(by_model: dict[int, NDArray[np.int32]]) -> Part:
    """Return the decisions of models under their names in a part."""
    return {str(Section(model)): decisions for model, decisions in by_model.items()}


def read_decisions(
    parts: Parts, image_count: int, models: Sequence[int]
) -> tuple[NDArray[np.bool_], dict[int, NDArray[np.int32]]]:
    """Return which of a scan's images could be used, bool [images], and the decisions by model, int32 [images, ...].

    NOT_SHOWN where there is no decision. A model that decides nothing is left out.
    """
    known = {name for part in parts for name in part}
    names = {model: str(Section(model)) for model in models if str(Section(model)) in known}
    seen, rows = rows_by_image(parts, image_count, list(names.values()))
    return seen, {model: rows[name] for model, name in names.items()}
