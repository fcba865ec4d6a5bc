"""Changed versions of images, each decoded once for all passes: decisions, and sensitivities of units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.device import Pixels
from shapebias.precompute.images.distort import parse_distortion
from shapebias.precompute.images.versions import SILHOUETTE
from shapebias.precompute.measures.decisions import NOT_SHOWN, name_decisions
from shapebias.precompute.measures.sensitivity import CHANGES, ChangedActivations
from shapebias.precompute.parts import Part, Section
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows
from shapebias.precompute.scanning.upload import DeviceBatch


@dataclass(frozen=True, kw_only=True)
class ChangeMeasure:
    """Measures the models at `models` (of the run's) on changed versions of a scan's images.

    distortions:  the versions of all images for which every model decides
    lists:        by model, the top lists of its layers, int64 [units, k], indices into the scan's images, -1 = none:
                  what units lose on their own top images is measured; no lists where it is not
    """

    models: tuple[int, ...]
    distortions: tuple[str, ...]
    lists: dict[int, list[NDArray[np.int64]]]

    @property
    def versions(self) -> tuple[str, ...]:
        """Return which versions of an image are needed: the distortions, and behind them the changes that units'
        losses are of, if they are not among them under whatever name."""
        known = {_identity(name) for name in self.distortions}
        more = [name for name in CHANGES.values() if _identity(name) not in known] if self.lists else []
        return (*self.distortions, *more)

    @property
    def columns(self) -> dict[str, int]:
        """Return which of the versions has the change that each sensitivity is about, by metric."""
        identities = [_identity(name) for name in self.versions]
        return {metric: identities.index(_identity(name)) for metric, name in CHANGES.items()} if self.lists else {}

    def start(self, runners: Sequence[Runner]) -> "ChangeShard":
        """Return an empty measurement for one shard."""
        return ChangeShard(self, {model: runners[model] for model in self.models})


def _identity(name: str) -> object:
    """Return the parts that two names of the same version share, such as `noise` and `noise-0.1`."""
    if name == SILHOUETTE:
        return name
    distortion = parse_distortion(name)
    return distortion.kind, distortion.strength


class ChangeShard:
    """The measurements of one shard."""

    def __init__(self, measure: ChangeMeasure, runners: dict[int, Runner]) -> None:
        self._measure = measure
        self._models = {model: _ModelChanges(measure, model, runner) for model, runner in runners.items()}
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch, with its versions."""
        exists = np.ones((len(batch.pixels), len(self._measure.distortions)), bool)
        for version, name in enumerate(self._measure.distortions):
            if name == SILHOUETTE:
                exists[:, version] = batch.pixels[:, version].min((1, 2, 3)) < 255
        decided = {model: shard.feed(batch, exists) for model, shard in self._models.items()}
        known = {model: decisions for model, decisions in decided.items() if decisions is not None}
        self._rows.add({POSITION: batch.positions} | name_decisions(known))

    def part(self) -> Part:
        """Return the positions, each model's decisions, int32 [images, distortions], and the sums of the units'
        activations.

        See `sensitivities`.
        """
        part = self._rows.part()
        for shard in self._models.values():
            part |= shard.part()
        return part


class _ModelChanges:
    """The results of one model for one shard."""

    def __init__(self, measure: ChangeMeasure, model: int, runner: Runner) -> None:
        self._runner, self._columns, self._model = runner, measure.columns, model
        lists = measure.lists.get(model, [])
        self._sums = {metric: [ChangedActivations(top) for top in lists] for metric in self._columns}
        self._named = np.unique(np.concatenate([top.ravel() for top in lists])) if lists else np.zeros(0, np.int64)

    def feed(self, batch: DeviceBatch, exists: NDArray[np.bool_]) -> NDArray[np.int32] | None:
        """Measure a batch; return the decisions for the distorted images that exist, or None where there are none.

        `exists`, bool [images, distortions], says which distorted images there are.
        """
        watched = np.zeros(batch.pixels.shape[:2], bool)
        watched[:, list(self._columns.values())] = np.isin(batch.positions, self._named)[:, None]
        decided = np.full(watched.shape, NOT_SHOWN, np.int32)
        if watched.any():
            decided[watched] = self._watch(batch, watched)
        if self._runner.outputs is None or not exists.shape[1]:
            return None
        wanted = np.zeros_like(watched)
        wanted[:, : exists.shape[1]] = exists
        if (rest := wanted & ~watched).any():
            (decided[rest],) = self._runner.of_versions(self._decide, batch.take(rest, self._runner.device))
        return np.where(wanted, decided, NOT_SHOWN)[:, : exists.shape[1]]

    def _decide(self, pixels: Pixels) -> list[NDArray[np.int32]]:
        return [self._runner.decide(self._runner.forward(pixels))]

    def _watch(self, batch: DeviceBatch, watched: NDArray[np.bool_]) -> NDArray[np.int32] | int:
        """Add the activations on the `watched` versions, bool [images, versions]; return the decisions for these
        versions.

        NOT_SHOWN where the network decides nothing.
        """
        decided, *maxima = self._runner.of_versions(self._runner.activations, batch.take(watched, self._runner.device))
        image, version = np.nonzero(watched)
        for metric, column in self._columns.items():
            rows = version == column
            for layer, changed in enumerate(self._sums[metric]):
                changed.update(maxima[layer][rows], batch.positions[image[rows]])
        return decided if len(decided) else NOT_SHOWN

    def part(self) -> Part:
        """Return the sums of the units' activations of each metric and layer, float64 [units]."""
        return {
            Section(self._model, layer).name(metric): changed.total
            for metric, layers in self._sums.items()
            for layer, changed in enumerate(layers)
        }
