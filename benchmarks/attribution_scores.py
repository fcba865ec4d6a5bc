"""Insertion and deletion against the bare forwards that they need.

    python -m benchmarks.attribution_scores [--images 64] [--methods 11] [--steps 112] [--rounds 4]

AlexNet with random weights on this machine's CPU, in turns in one process:

- scores: random maps of every image, `--methods` of each, ranked, and their curves of insertion and deletion;
- bare: as many forwards of the network alone, without a normalisation, as these curves need, of one batch again and
  again: two for each inner step, image and map, and for each image its clean and its blurred version, and one of grey.

The ratios are bare / scores, of the clock's and of the processor's seconds: other work on the machine counts in the
first alone. The last lines are of memory: what the process holds at most, before and after.
"""

import argparse
import os
import resource
import time

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the commands do, before torch is imported

import torch
import torchvision
from torch import Tensor, nn

from shapebias.core.attribution.methods import METHODS
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from shapebias.precompute.scoring.curves import Curves
from shapebias.precompute.scoring.ranking import Ranking, ranks

SIZE = 224
TOGETHER = 16  # images of a batch, as in a run on the CPU


class ScoresClock:
    """A stopwatch: adds up the wall clock's and the processor's seconds of its `with` blocks."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def __enter__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._wall
        self.processor += time.process_time() - self._processor


def score(subject: Subject, images: Tensor, methods: int, steps: int, seed: int) -> None:
    """Rank `methods` random maps of each image of a batch, and measure their curves of insertion and deletion."""
    count = len(images)
    ranking = Ranking(range(count), SIZE * SIZE)
    curves = Curves(subject, images, torch.arange(count), steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(methods):
        maps = torch.randn((count, SIZE, SIZE), generator=generator)
        curves(ranks(ranking(METHODS["gradient"], maps)))


def forwards(network: nn.Module, images: Tensor, count: int) -> None:
    """Run the network on `count` images in all: on the batch `images` again and again, the last time on fewer."""
    with torch.no_grad():
        for first in range(0, count, len(images)):
            network(images[: count - first])


def peak() -> float:
    """Return the most memory that the process has held so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 64), ("methods", 11), ("steps", 112), ("rounds", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None).eval().to(memory_format=torch.channels_last)
    subject = Subject(network=Normalised(network, IMAGENET_MEAN, IMAGENET_STD), size=SIZE)
    images = torch.rand((options.images, SIZE, SIZE, 3)).permute(0, 3, 1, 2)
    batch = images[:1].expand(subject.budget.images, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    forwards(network, batch, 2 * len(batch))
    score(subject, images[:1], 1, options.steps, 0)
    before, scoring, bare = peak(), ScoresClock(), ScoresClock()
    parts = [images[first : first + TOGETHER] for first in range(0, len(images), TOGETHER)]
    turns = [(part, number) for number in range(options.rounds) for part in parts]
    for part, number in turns:
        methods = len(range(number, options.methods, options.rounds))
        needed = len(part) * methods * 2 * (options.steps - 1) + (2 * len(part) + 1)
        with bare:
            forwards(network, batch, needed // 2)
        with scoring:
            score(subject, part, methods, options.steps, number)
        with bare:
            forwards(network, batch, needed - needed // 2)
    counts = f"{options.images} images, {options.methods} maps of each, {options.steps} steps"
    print(f"{counts}, {torch.get_num_threads()} threads")
    for kind in ("wall", "processor"):
        own, alone = getattr(scoring, kind), getattr(bare, kind)
        print(f"{kind:9}  scores {own:8.1f} s, bare forwards {alone:8.1f} s, ratio {alone / own:.3f}")
    print(f"memory at most {before:.0f} MB before, {peak():.0f} MB after")


if __name__ == "__main__":
    main()
