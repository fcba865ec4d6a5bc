"""The smoothness pass: every unit's total variation on noisy images, through the hooks that watch clean ones."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.runner import Pixels, Runner
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.variation import Variation

_USUAL = "noise-0.1"


class NoisyVariation:
    """The running total variation of every watched layer under the noise that a distortion such as `noise-0.2` adds."""

    def __init__(self, runner: Runner, noise: str, device: torch.device | None = None) -> None:
        self._runner = runner
        self._suffix = "" if noise == _USUAL else f"@{noise.removeprefix('noise-')}"
        place = device or runner.device.device
        self.layers = [Variation(layer.units, layer.height * layer.width, place) for layer in runner.layers]

    def run(self, pixels: Pixels) -> None:
        """One forward of noisy images uint8 [B, H, W, 3]."""
        self._runner.forward(pixels, self._see)

    def _see(self, index: int, output: Tensor) -> None:
        self.layers[index].update(Maps(output, np.zeros(0, np.int64)))

    def metrics(self, index: int, tv: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """`tv_noisy` and `tv_shift` of a layer, float32 [units]; `tv` is of the clean images.

        They are called so for noise of 0.1; of another strength they are NAME@STRENGTH (see `core.metrics`).
        """
        noisy = self.layers[index].tv()
        return {f"tv_noisy{self._suffix}": noisy, f"tv_shift{self._suffix}": noisy - tv}
