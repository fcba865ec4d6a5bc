"""The sensitivity pass: what every unit's own top images lose without colour, without shape, and with noise."""

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.runner import Runner
from shapebias.precompute.stream import Stream

CHANGES = {"color_sensitivity": "grey", "shape_sensitivity": "shuffle-4", "noise_sensitivity": "noise-0.1"}


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


def measure(
    runner: Runner,
    stream: Stream,
    used: NDArray[np.int64],
    images: list[NDArray[np.int64]],
    values: list[NDArray[np.float32]],
) -> list[dict[str, NDArray[np.float32]]]:
    """`color_sensitivity`, `shape_sensitivity` and `noise_sensitivity` of every layer's units, float32 [units].

    1 - (mean activation on the changed images) / (mean on the originals), over the unit's top images; NaN where the
    originals' mean is not above 0. used: positions of the images in the listing; images int64 and values float32
    [units, k]: each layer's top lists.
    """
    changed = {metric: [ChangedActivations(image) for image in images] for metric in CHANGES}
    named = np.unique(np.concatenate([image.ravel() for image in images]))
    named = named[named >= 0]
    title = f"{runner.model.label}: sensitivity"
    for batch in stream.again(title, runner.geometry, used[named], tuple(CHANGES.values())):
        indices = named[batch.positions]
        for version, sums in enumerate(changed.values()):
            for each, maximum in zip(sums, runner.activations(batch.pixels[:, version]), strict=True):
                each.update(maximum, indices)
    return [
        {metric: _loss(changed[metric][index].total, np.where(images[index] >= 0, value, 0)) for metric in CHANGES}
        for index, value in enumerate(values)
    ]


def _loss(changed: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    original = values.astype(np.float64).sum(1)
    ratio = np.divide(changed, original, out=np.full_like(original, np.nan), where=original > 0)
    loss: NDArray[np.float32] = (1 - ratio).astype(np.float32)
    return loss
