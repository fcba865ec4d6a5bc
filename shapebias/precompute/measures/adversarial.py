"""Which probe images a model classifies correctly in spite of adversarial attacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.attack import NORMS, Attack, Normalised, withstood
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Rows
from shapebias.precompute.statistics.state import Part

STEPS = 20


def parse_attack(text: str) -> Attack:
    """`NORM:EPSILON`, such as `l2:3` or `linf:0.016`: 20 steps of 2.5 * epsilon / 20, for images in [0, 1].

    Raises UsageError.
    """
    norm, _, number = text.partition(":")
    try:
        epsilon = float(number)
    except ValueError:
        epsilon = -1.0
    if norm not in NORMS or not 0 < epsilon < float("inf"):
        raise UsageError(f"--attack {printable(text)}: write NORM:EPSILON, such as l2:3 or linf:0.016")
    return Attack.reaching(norm, epsilon, STEPS)


@dataclass(frozen=True)
class Attacking:
    """Measures which images a model gets right under each attack, see `attack.withstood`. listing int64 [images of the
    scan]: their positions in the listing; targets int32 likewise: the right outputs."""

    model: int
    attacks: tuple[Attack, ...]
    listing: NDArray[np.int64]
    targets: NDArray[np.int32]

    def start(self, runners: Sequence[Runner]) -> "AttackedShard":
        return AttackedShard(self, runners[self.model])


class AttackedShard:
    """What is measured of one shard."""

    def __init__(self, wanted: Attacking, runner: Runner) -> None:
        self._wanted, self._runner = wanted, runner
        preprocessing, device = runner.model.preprocessing, runner.device
        self._network = Normalised(
            runner.network, preprocessing.mean, preprocessing.std, device=device.device, dtype=device.dtype
        )
        self._rows = Rows()

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        wanted, place = self._wanted, self._runner.device.device
        pixels = torch.from_numpy(batch.pixels).to(place).permute(0, 3, 1, 2).float().div_(255)
        labels = torch.from_numpy(wanted.targets[batch.positions].astype(np.int64)).to(place)
        generator = torch.Generator(place).manual_seed(int(wanted.listing[batch.positions[0]]))
        right = np.zeros((len(pixels), len(wanted.attacks)), np.int8)
        for norm in NORMS:
            chosen = [index for index, attack in enumerate(wanted.attacks) if attack.norm == norm]
            if chosen:
                with self._runner.guarded():
                    attacks = [wanted.attacks[index] for index in chosen]
                    found = withstood(self._network, pixels, labels, attacks, generator=generator)
                right[:, chosen] = found.T.cpu().numpy()
        self._rows.add(position=batch.positions, right=right)

    def part(self) -> Part:
        """`position`, and `right` int8 [images, attacks]."""
        return self._rows.part()
