"""Attribution methods against the bare forwards and backwards that they need.

    python -m benchmarks.attribution [--images 64] [--rounds 1] [--methods gradient,…|all]

AlexNet with random weights on drawn images that are in memory, on this machine's CPU in two threads. In one process, in
turns of about a hundred runs of the network: a method, from images in [0, 1] to maps; then the network alone, as often
forward and backward as the registry says that the method needs (`Choice.cost`), from normalised images, to the
gradient by them, in batches of the same size, channels_last. Seconds are the processor's, so that other work on the
machine does not count, and the wall's beside them. The ratio is the time of the bare runs over that of the method.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.ablation import alexnet
from benchmarks.activation_pass import photo_like
from shapebias.core.attribution.choice import Choice, parse_choices
from shapebias.precompute.attribution.explain import explain
from shapebias.precompute.attribution.subject import Subject

RUNS = 100  # of the network, in a turn
CHEAP = 100  # forwards an image; of methods that need more, a sixteenth of the images is enough
DEFAULT = "gradient,input-x-gradient,smoothgrad,integrated-gradients,gradient-shap,deeplift-shap,grad-cam,rise"


@dataclass
class Clock:
    """Seconds of the processor and of the wall that were spent in what it ran."""

    processor: float = 0.0
    wall: float = 0.0

    def run(self, action: Callable[[], object]) -> None:
        """Run an action, and count its time."""
        processor, wall = time.process_time(), time.perf_counter()
        action()
        self.processor += time.process_time() - processor
        self.wall += time.perf_counter() - wall

    def __add__(self, other: "Clock") -> "Clock":
        """Return the sum of both clocks' seconds."""
        return Clock(self.processor + other.processor, self.wall + other.wall)


class AttributionContest:
    """A network and images, and the two ways to use its time: explaining them, and running it alone."""

    def __init__(self, images: int) -> None:
        self.subject = Subject.of(alexnet())
        self.images = torch.from_numpy(photo_like(images)).permute(0, 3, 1, 2).float().div_(255)
        self.targets = self.subject.scores(self.images).argmax(1)
        self.network = self.subject.network.network
        most = self.subject.budget.images
        copies = self.images[torch.arange(most) % images]
        normalised = self.subject.network
        self.inputs = torch.addcmul(normalised.shift, copies, normalised.scale)

    def explain(self, choice: Choice, part: slice) -> None:
        """Make the maps of some images."""
        images = self.images[part]
        explain(self.subject, choice, images, self.targets[part], range(len(images)))

    def bare(self, forwards: int, backwards: int) -> None:
        """Run the network alone, `backwards` of the forwards with a backward behind them."""
        most = len(self.inputs)
        for start in range(0, backwards, most):
            inputs = self.inputs[: min(most, backwards - start)].detach().requires_grad_()
            scores = self.network(inputs)
            torch.autograd.grad(scores[:, 0].sum(), inputs)
        with torch.no_grad():
            for start in range(0, forwards - backwards, most):
                self.network(self.inputs[: min(most, forwards - backwards - start)])


def contest(choice: Choice, images: int, rounds: int, run: AttributionContest) -> tuple[Clock, Clock]:
    """Return the time of a method, and that of the bare runs that it needs."""
    cost = choice.cost(run.subject.size)
    together = max(1, RUNS // cost.forwards)
    ours, bare = Clock(), Clock()
    for _ in range(rounds):
        for start in range(0, images, together):
            part = slice(start, min(start + together, images))
            forwards, backwards = (runs * (part.stop - part.start) for runs in (cost.forwards, cost.backwards))
            ours.run(partial(run.explain, choice, part))
            bare.run(partial(run.bare, forwards, backwards))
    return ours, bare


def report(name: str, images: int, ours: Clock, bare: Clock) -> None:
    """Print a line of the table."""
    print(
        f"{name:24}  {images:6}  {1000 * ours.processor / images:8.1f} ms  {bare.processor / ours.processor:6.3f}  "
        f"{bare.wall / ours.wall:6.3f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--methods", default=DEFAULT)
    options = parser.parse_args()
    torch.set_num_threads(2)
    run = AttributionContest(options.images)
    print(f"{run.subject.device}; {options.images} images")
    print(f"{'method':24}  {'images':>6}  {'an image':>11}  {'ratio':>6}  {'wall':>6}")
    total_ours, total_bare = Clock(), Clock()
    for choice in parse_choices(options.methods):
        forwards = choice.cost(run.subject.size).forwards
        if forwards == 0:
            continue
        images = options.images if forwards <= CHEAP else max(1, options.images // 16)
        ours, bare = contest(choice, images, options.rounds, run)
        report(str(choice), images, ours, bare)
        if forwards <= CHEAP:
            total_ours, total_bare = total_ours + ours, total_bare + bare
    if total_ours.processor:
        report(f"of up to {CHEAP} forwards", options.images, total_ours, total_bare)
