"""The distortions pass: what a model decides for every probe image when something is taken from it."""

import numpy as np
from numpy.typing import NDArray

from shapebias.precompute.images.versions import SILHOUETTE
from shapebias.precompute.runner import Runner
from shapebias.precompute.stream import Stream

NOT_SHOWN = -1


def decide_distorted(
    runners: list[Runner], stream: Stream, used: NDArray[np.int64], names: tuple[str, ...]
) -> list[dict[str, NDArray[np.int32]]]:
    """For every runner (of one geometry) and distortion the decisions int32 [images], in the order of `used`.

    NOT_SHOWN (-1) where an image has no such version: a silhouette without annotation or opacity. A distortion that no
    image has is left out.
    """
    decided = [{name: np.full(len(used), NOT_SHOWN, np.int32) for name in names} for _ in runners]
    title = f"{', '.join(runner.model.label for runner in runners)}: distortions"
    deciding = [(runner, to) for runner, to in zip(runners, decided, strict=True) if runner.outputs is not None]
    for batch in stream.again(title, runners[0].geometry, used, names):
        for version, name in enumerate(names):
            pixels = np.ascontiguousarray(batch.pixels[:, version])
            shown = pixels.min((1, 2, 3)) < 255 if name == SILHOUETTE else np.ones(len(pixels), bool)
            if not shown.any():
                continue
            for runner, to in deciding:
                decisions = runner.decide(runner.forward(pixels))
                to[name][batch.positions[shown]] = decisions[shown]
    return [{name: each for name, each in to.items() if (each != NOT_SHOWN).any()} for to in decided]
