"""The sensitivity pass: how much every unit's activation on its top images falls without colour, without shape, and
with noise.

Top images are chosen for their activation, so any change lowers it. The control is a change that keeps everything: the
mirrored image, shifted by a few pixels.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.parts import Section

CONTROL = "control_sensitivity"
# The change of images that each metric is about, as the name of a version.
CHANGES = {
    "color_sensitivity": "grey",
    "shape_sensitivity": "shuffle-4",
    "noise_sensitivity": "noise-0.1",
    CONTROL: "mirror-8",
}


def sensitivities(
    parts: Iterable[Mapping[str, NDArray[Any]]],
    model: int,
    lists: list[NDArray[np.int64]],
    values: list[NDArray[np.float32]],
) -> list[dict[str, NDArray[np.float32]]]:
    """Return the sensitivities of every layer's units, float32 [units] by metric.

    These are `color_sensitivity`, `shape_sensitivity`, `noise_sensitivity` and `control_sensitivity`: 1 - (mean
    activation on the changed images) / (mean on the originals), over the unit's top images; NaN where the originals'
    mean is not above 0. Also `color_excess`, `shape_excess` and `noise_excess`: how much each is above the control.

    parts:   the parts of all shards, with the sums of the activations on changed images: see `ChangeShard.part`
    model:   the model's number in the run
    lists:   for each layer int64 [units, k], the units' top images, -1 = none
    values:  for each layer float32 [units, k], the activations of the units on these
    """
    total = [{metric: np.zeros(len(top), np.float64) for metric in CHANGES} for top in lists]
    for part in parts:
        for layer, sums in enumerate(total):
            for metric, changed in sums.items():
                changed += part[Section(model, layer).name(metric)]
    return [
        _with_excess({metric: _loss(changed, np.where(top >= 0, value, 0)) for metric, changed in sums.items()})
        for sums, top, value in zip(total, lists, values, strict=True)
    ]


class ChangedActivations:
    """The sum of the activations of one layer's units on changed versions of their own top images.

    top int64 [units, k]: the top images' indices, -1 = none.
    """

    def __init__(self, top: NDArray[np.int64]) -> None:
        self.total = np.zeros(len(top), np.float64)
        unit, rank = np.nonzero(top >= 0)
        order = np.argsort(top[unit, rank], kind="stable")
        self._unit, self._image = unit[order], top[unit, rank][order]

    def update(self, maximum: NDArray[np.float32], images: NDArray[np.int64]) -> None:
        """Add the maxima of maps on a batch of changed images, float32 [B, units]; `images` int64 [B] are indices."""
        for row, image in enumerate(images):
            first, last = np.searchsorted(self._image, [image, image + 1])
            units = self._unit[first:last]
            self.total[units] += maximum[row, units]


def _with_excess(losses: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return losses, float32 [units] by metric, and also how much each is above the control's, as `NAME_excess`."""
    excess = {
        metric.replace("sensitivity", "excess"): loss - losses[CONTROL]
        for metric, loss in losses.items()
        if metric != CONTROL
    }
    return losses | excess


def _loss(changed: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 - changed / (sum of a unit's values), float32 [units]; NaN where that sum is not above 0."""
    original = values.astype(np.float64).sum(1)
    ratio = np.divide(changed, original, out=np.full_like(original, np.nan), where=original > 0)
    loss: NDArray[np.float32] = (1 - ratio).astype(np.float32)
    return loss
