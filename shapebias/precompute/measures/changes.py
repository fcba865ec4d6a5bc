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
    """Measures models on changed versions of a scan's images.

    models:       their numbers in the run
    distortions:  the names of the versions for which every model decides, of all images
    lists:        by the model's number, the top lists of its layers, int64 [units, k], indices into the scan's images,
                  -1 = none: what units lose on changed versions of their own top images is measured, too; empty where
                  it is not
    """

    models: tuple[int, ...]
    distortions: tuple[str, ...]
    lists: dict[int, list[NDArray[np.int64]]]

    @property
    def versions(self) -> tuple[str, ...]:
        """Return the names of the versions of an image that are needed.

        They are the distortions, and behind them, if there are lists, those of `CHANGES` that are not among the
        distortions under another name.
        """
        identities = {_identity(name) for name in self.distortions}
        more = [name for name in CHANGES.values() if _identity(name) not in identities] if self.lists else []
        return (*self.distortions, *more)

    @property
    def columns(self) -> dict[str, int]:
        """Return for each sensitivity, by metric, the index in `versions` of its change; empty without lists."""
        identities = [_identity(name) for name in self.versions]
        return {metric: identities.index(_identity(name)) for metric, name in CHANGES.items()} if self.lists else {}

    def start(self, runners: Sequence[Runner]) -> "ChangeShard":
        """Return an empty measurement for one shard."""
        return ChangeShard(self, {model: runners[model] for model in self.models})


def _identity(name: str) -> object:
    """Return what is the same for two names of one version, such as `noise` and `noise-0.1`: the kind and strength."""
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
        """Measure a batch whose pixels come in `versions`, uint8 [B, versions, H, W, 3]."""
        exists = np.ones((len(batch.pixels), len(self._measure.distortions)), bool)
        for version, name in enumerate(self._measure.distortions):
            if name == SILHOUETTE:  # all white where the image has none
                exists[:, version] = batch.pixels[:, version].min((1, 2, 3)) < 255
        decided = {model: shard.feed(batch, exists) for model, shard in self._models.items()}
        by_model = {model: decisions for model, decisions in decided.items() if decisions is not None}
        self._rows.add({POSITION: batch.positions} | name_decisions(by_model))

    def part(self) -> Part:
        """Return the positions, each model's decisions, int32 [images, distortions], and the sums of the units'
        activations on changed images, which `sensitivities` reads.
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
        """Measure a batch; return the decisions for its distorted images, int32 [images, distortions].

        `exists`, bool [images, distortions], says which distorted images there are; NOT_SHOWN stands for the others.
        Returns None where the network gives no scores or there are no distortions.
        """
        watched = np.zeros(batch.pixels.shape[:2], bool)
        watched[:, list(self._columns.values())] = np.isin(batch.positions, self._named)[:, None]
        decided = np.full(watched.shape, NOT_SHOWN, np.int32)
        if watched.any():
            decided[watched] = self._watch(batch, watched)
        if self._runner.outputs is None or not exists.shape[1]:
            return None
        existing = np.zeros_like(watched)
        existing[:, : exists.shape[1]] = exists
        if (rest := existing & ~watched).any():
            (decided[rest],) = self._runner.of_versions(self._decide, batch.take(rest, self._runner.device))
        return np.where(existing, decided, NOT_SHOWN)[:, : exists.shape[1]]

    def _decide(self, pixels: Pixels) -> list[NDArray[np.int32]]:
        return [self._runner.decide(self._runner.forward(pixels))]

    def _watch(self, batch: DeviceBatch, watched: NDArray[np.bool_]) -> NDArray[np.int32] | int:
        """Run the `watched` versions, bool [images, versions], and add the units' activations on them.

        Return the decisions for them, int32 [watched versions]; NOT_SHOWN alone where the network gives no scores.
        """
        decided, *maxima = self._runner.of_versions(self._runner.activations, batch.take(watched, self._runner.device))
        image, version = np.nonzero(watched)
        for metric, column in self._columns.items():
            rows = version == column
            for layer, changed in enumerate(self._sums[metric]):
                changed.update(maxima[layer][rows], batch.positions[image[rows]])
        return decided if len(decided) else NOT_SHOWN

    def part(self) -> Part:
        """Return the sums of the units' activations on changed versions of their own top images, float64 [units].

        There is an array for each metric and layer.
        """
        return {
            Section(self._model, layer).name(metric): changed.total
            for metric, layers in self._sums.items()
            for layer, changed in enumerate(layers)
        }
