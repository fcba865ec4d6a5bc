"""The adversarial pass: which probe images a model classifies correctly in spite of attacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.attacks.attack import NORMS, Attack
from shapebias.precompute.attacks.descent import Normalised, withstood
from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows, rows_by_image
from shapebias.precompute.scanning.scan import Parts
from shapebias.precompute.scanning.upload import DeviceBatch

_RIGHT = "right"


@dataclass(frozen=True)
class AttackMeasure:
    """Measures which images a model classifies correctly under each attack, see `attacks.descent.withstood`.

    model:    the model's number in the run
    listing:  int64 [images of the scan], their positions in the listing: they seed the attacks' random starts, so that
              an image's attack is the same in any batch
    targets:  int32 [images of the scan], the right outputs; every image has one
    """

    model: int
    attacks: tuple[Attack, ...]
    listing: NDArray[np.int64]
    targets: NDArray[np.int32]

    def start(self, runners: Sequence[Runner]) -> "AttackShard":
        """Return an empty measurement for one shard."""
        return AttackShard(self, runners[self.model])

    def merge(self, parts: Parts) -> NDArray[np.bool_]:
        """Return which images the model classifies correctly under each attack, bool [attacks, images of the scan].

        False for an image that could not be used.
        """
        _, rows = rows_by_image(parts, len(self.listing), [_RIGHT])
        withstanding: NDArray[np.bool_] = rows[_RIGHT].T > 0
        return withstanding


class AttackShard:
    """The measurements of one shard."""

    def __init__(self, measure: AttackMeasure, runner: Runner) -> None:
        self._measure, self._runner = measure, runner
        preprocessing, device = runner.model.preprocessing, runner.device.with_gradients
        self._network = Normalised(runner.network, preprocessing.mean, preprocessing.std, device)
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        attacks = self._measure.attacks
        listing = self._measure.listing[batch.positions].tolist()
        pixels = batch.sent.permute(0, 3, 1, 2).float().div_(255)
        labels = self._runner.device.upload(self._measure.targets[batch.positions].astype(np.int64))
        # The CPU's generators, whatever the device: so random starts are the same on all of them.
        generators = [torch.Generator().manual_seed(position) for position in listing]
        right = np.zeros((len(pixels), len(attacks)), np.int8)
        for norm in NORMS:
            columns = [index for index, attack in enumerate(attacks) if attack.norm == norm]
            if columns:
                of_norm = [attacks[index] for index in columns]
                with self._runner.guarded(), self._runner.device.rounding():
                    withstanding = withstood(self._network, pixels, labels, of_norm, generator=generators)
                right[:, columns] = withstanding.T.cpu().numpy()
        self._rows.add({POSITION: batch.positions, _RIGHT: right})

    def part(self) -> Part:
        """Return the positions, and 1 where the model is right under an attack, else 0: int8 [images, attacks]."""
        return self._rows.part()
