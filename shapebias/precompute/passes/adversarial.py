"""Which probe images a model classifies correctly in spite of adversarial attacks."""

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.attack import NORMS, Attack, Normalised, withstood
from shapebias.precompute.runner import Runner
from shapebias.precompute.stream import Stream

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
    return Attack(norm, epsilon, STEPS, 2.5 * epsilon / STEPS)


def attack_images(
    runner: Runner, stream: Stream, used: NDArray[np.int64], targets: NDArray[np.int32], attacks: tuple[Attack, ...]
) -> NDArray[np.bool_]:
    """Which images are right under each attack, bool [attacks, images], in the order of `used`; see `attack.withstood`.

    targets int32 [images]: the right output, -1 = none (such images are not attacked, and not right).
    """
    preprocessing, device = runner.model.preprocessing, runner.device
    network = Normalised(runner.network, preprocessing.mean, preprocessing.std, device.device, device.dtype)
    right = np.zeros((len(attacks), len(used)), bool)
    known = np.flatnonzero(targets >= 0)
    title = f"{runner.model.label}: attacks"
    for batch in stream.again(title, runner.geometry, used[known]):
        images = known[batch.positions]
        pixels = torch.from_numpy(batch.pixels).to(device.device).permute(0, 3, 1, 2).float().div_(255)
        labels = torch.from_numpy(targets[images].astype(np.int64)).to(device.device)
        generator = torch.Generator(device.device).manual_seed(int(used[images[0]]))
        for norm in NORMS:
            chosen = [index for index, attack in enumerate(attacks) if attack.norm == norm]
            if chosen:
                with runner.guarded():
                    found = withstood(network, pixels, labels, [attacks[index] for index in chosen], generator)
                right[np.array(chosen)[:, None], images] = found.cpu().numpy()
    return right
