"""The noise pass: every unit's total variation on noisy images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.device import Pixels
from shapebias.precompute.runner import Runner
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.variation import Variation

_USUAL = "noise-0.1"


class NoisyVariation:
    """The running total variation of every layer on noisy images; its sums are on `device` (None: the runner's)."""

    def __init__(self, runner: Runner, device: torch.device | None = None) -> None:
        self._runner = runner
        statistics_device = device or runner.device.device
        self.layers = [Variation(layer.units, layer.height, layer.width, statistics_device) for layer in runner.layers]

    def run(self, pixels: Pixels) -> None:
        """Run one forward of noisy images, uint8 [B, H, W, 3], and add their maps."""
        self._runner.forward(pixels, self._update)

    def _update(self, index: int, output: Tensor) -> None:
        self.layers[index].update(Maps(output))


def noisy_metrics(noise: str, noisy: NDArray[np.float32], clean: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return `tv_noisy` and `tv_shift` of a layer from its total variation on noisy and on clean images, float32
    [units].

    `noise` is the name of the distortion. For `noise-0.1` the metrics have these names; for another strength they are
    NAME@STRENGTH (see `core.metrics`).
    """
    suffix = "" if noise == _USUAL else f"@{noise.removeprefix('noise-')}"
    return {f"tv_noisy{suffix}": noisy, f"tv_shift{suffix}": noisy - clean}
