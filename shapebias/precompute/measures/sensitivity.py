"""The sensitivity pass: what every unit's own top images lose without colour, without shape, and with noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.loader import Batch
from shapebias.precompute.runner import Runner
from shapebias.precompute.statistics.state import Part

CHANGES = {"color_sensitivity": "grey", "shape_sensitivity": "shuffle-4", "noise_sensitivity": "noise-0.1"}
VERSIONS = tuple(CHANGES.values())


@dataclass(frozen=True)
class Sensitivity:
    """Measures the activations of a model's units on their own top images, changed. `lists`: each layer's top lists,
    int64 [units, k], indices into the scan's images, -1 = none."""

    model: int
    lists: list[NDArray[np.int64]]

    def start(self, runners: Sequence[Runner]) -> "ChangedShard":
        return ChangedShard(runners[self.model], self.lists)


class ChangedShard:
    """What is measured of one shard."""

    def __init__(self, runner: Runner, lists: list[NDArray[np.int64]]) -> None:
        self._runner = runner
        self._changed = [[ChangedActivations(image) for image in lists] for _ in CHANGES]

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        for version, sums in enumerate(self._changed):
            for each, maximum in zip(sums, self._runner.activations(batch.pixels[:, version]), strict=True):
                each.update(maximum, batch.positions)

    def part(self) -> Part:
        """METRIC.LAYER: float64 [units], the sum of the activations."""
        return {
            f"{metric}.{index}": each.total
            for metric, sums in zip(CHANGES, self._changed, strict=True)
            for index, each in enumerate(sums)
        }


class ChangedActivations:
    """The sum of the activations of one layer's units on their own top images, changed.

    image int64 [units, k]: the top images' indices, -1 = none.
    """

    def __init__(self, image: NDArray[np.int64]) -> None:
        self.total = np.zeros(len(image), np.float64)
        unit, rank = np.nonzero(image >= 0)
        order = np.argsort(image[unit, rank], kind="stable")
        self._unit, self._image = unit[order], image[unit, rank][order]

    def update(self, maximum: NDArray[np.float32], images: NDArray[np.int64]) -> None:
        """maximum float32 [B, units]; images int64 [B], ascending indices."""
        for row, image in enumerate(images):
            first, last = np.searchsorted(self._image, [image, image + 1])
            units = self._unit[first:last]
            self.total[units] += maximum[row, units]


def sensitivities(
    parts: Iterable[Mapping[str, NDArray[Any]]], images: list[NDArray[np.int64]], values: list[NDArray[np.float32]]
) -> list[dict[str, NDArray[np.float32]]]:
    """`color_sensitivity`, `shape_sensitivity` and `noise_sensitivity` of every layer's units, float32 [units].

    1 - (mean activation on the changed images) / (mean on the originals), over the unit's top images; NaN where the
    originals' mean is not above 0. images int64 and values float32 [units, k]: each layer's top lists.
    """
    total = [{metric: np.zeros(len(image), np.float64) for metric in CHANGES} for image in images]
    for part in parts:
        for index, sums in enumerate(total):
            for metric, changed in sums.items():
                changed += part[f"{metric}.{index}"]
    return [
        {metric: _loss(changed, np.where(image >= 0, value, 0)) for metric, changed in sums.items()}
        for sums, image, value in zip(total, images, values, strict=True)
    ]


def _loss(changed: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    original = values.astype(np.float64).sum(1)
    ratio = np.divide(changed, original, out=np.full_like(original, np.nan), where=original > 0)
    loss: NDArray[np.float32] = (1 - ratio).astype(np.float32)
    return loss
