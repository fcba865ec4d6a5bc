"""A model's decisions when it is fed with other preprocessing than its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shapebias.precompute.measures.decisions import name_decisions
from shapebias.precompute.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows
from shapebias.precompute.scanning.upload import DeviceBatch

_SCALES = {  # mean, std, and the advice where the network needs these values
    "ImageNet's mean and std": (IMAGENET_MEAN, IMAGENET_STD, "add ,preprocess=imagenet to its --model"),
    "no normalisation, pixels in [0, 1]": ((0.0,) * 3, (1.0,) * 3, "add ,preprocess=none to its --model"),
    "pixels in [-1, 1]": ((0.5,) * 3, (0.5,) * 3, "add ,preprocess=inception to its --model"),
    "pixels from 0 to 255": ((0.0,) * 3, (1 / 255,) * 3, "multiply its input by 255, with preprocess=none"),
}


@dataclass(frozen=True)
class Trial:
    """A way to feed a network. `remedy` says what the user can do if it is the right one. `bgr`: blue comes first."""

    name: str
    remedy: str
    preprocessing: Preprocessing
    bgr: bool


def other_ways(preprocessing: Preprocessing) -> tuple[Trial, ...]:
    """Return other ways to feed a network than its own: blue first, other scales, and other scales with blue first."""
    return tuple(_other_ways(preprocessing))


def _other_ways(preprocessing: Preprocessing) -> Iterator[Trial]:
    flip = "let it flip its input's channels, x[:, [2, 1, 0]]"
    yield Trial("BGR input", flip, preprocessing, bgr=True)
    for name, (mean, std, remedy) in _SCALES.items():
        if not (np.allclose(mean, preprocessing.mean, atol=1e-3) and np.allclose(std, preprocessing.std, atol=1e-3)):
            changed = replace(preprocessing, mean=mean, std=std)
            yield Trial(name, remedy, changed, bgr=False)
            yield Trial(f"BGR input and {name}", f"{remedy}, and {flip}", changed, bgr=True)


@dataclass(frozen=True)
class TrialMeasure:
    """Measures the decisions of one model (its number in the run) in every trial."""

    model: int
    trials: tuple[Trial, ...]

    def start(self, runners: Sequence[Runner]) -> "TrialShard":
        """Return an empty measurement for one shard."""
        return TrialShard(self, runners[self.model])


class TrialShard:
    """The decisions of a model for the images of one shard."""

    def __init__(self, measure: TrialMeasure, runner: Runner) -> None:
        self._measure = measure
        models = [replace(runner.model, preprocessing=trial.preprocessing) for trial in measure.trials]
        self._runners = [replace(runner, model=model) for model in models]
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        flipped = batch.sent.flip(-1)
        decided = [
            runner.decide(runner.forward(flipped if trial.bgr else batch.sent))
            for trial, runner in zip(self._measure.trials, self._runners, strict=True)
        ]
        self._rows.add({POSITION: batch.positions} | name_decisions({self._measure.model: np.stack(decided, 1)}))

    def part(self) -> Part:
        """Return the positions, and the model's decisions, int32 [images, trials]."""
        return self._rows.part()
