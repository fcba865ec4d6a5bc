"""Count how often `compare` finds a difference where there is none: networks that differ only in the seed.

    python -m benchmarks.null_comparison [--runs 20] [--networks 4] [--images 64]

A run makes two groups of small networks with random weights, their seeds all different, measures them on the built-in
probe images, and compares the groups. Printed: the share of tests with p < .05, over networks (`--group`) by layer and
over all layers, and beside it that of the tests over units of one network of each group, which is why `compare` prints
no p for two networks.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from shapebias.core.analysis.comparison import compare
from shapebias.core.analysis.groups import OVERALL, GroupDifference, compare_groups, parse_groups
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings

LEVEL = 0.05


class NullNetwork(nn.Module):
    """Three convolutions for 64 px images, with 16, 24 and 32 units, and 16 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained_cfg = {"input_size": (3, 64, 64), "crop_pct": 1.0}
        self.conv1, self.conv2, self.conv3 = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), nn.ReLU())
            for inputs, outputs in ((3, 16), (16, 24), (24, 32))
        )
        self.classifier = nn.Linear(32, 16)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores [B, 16]."""
        scores: Tensor = self.classifier(self.conv3(self.conv2(self.conv1(images))).mean((2, 3)))
        return scores


def measured(folder: Path, seeds: range, images: int) -> Store:
    """Write the store of networks `n0`, `n1`, ..., one for each seed, over probe images into a folder; return it."""
    texts = []
    for position, seed in enumerate(seeds):
        torch.manual_seed(seed)
        weights = folder / f"{seed}.pt"
        torch.save(NullNetwork().state_dict(), weights)
        texts.append(f"n{position}=benchmarks.null_comparison:NullNetwork@{weights}")
    path = folder / f"{seeds.start}.zarr"
    settings = Settings(
        models=parse_specs(texts), images="builtin:probe", store=path, limit=images, workers=0, passes=("noise",)
    )
    precompute(settings, Silent())
    return open_store(path)


def rate(p_values: list[float]) -> str:
    """Return as text how many of the tests that could be made (p not NaN) have p < LEVEL."""
    known = [p for p in p_values if p == p]
    small = sum(p < LEVEL for p in known)
    return f"{small:4d} of {len(known):4d} ({small / max(len(known), 1):.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--networks", type=int, default=4, help="in each group")
    parser.add_argument("--images", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    over_networks: list[GroupDifference] = []
    over_units: list[float] = []
    start = time.perf_counter()
    for run in range(asked.runs):
        with tempfile.TemporaryDirectory() as folder:
            seeds = range(run * 1000, run * 1000 + 2 * asked.networks)
            store = measured(Path(folder), seeds, asked.images)
            labels = list(store.models)
            sides = [",".join(labels[: asked.networks]), ",".join(labels[asked.networks :])]
            over_networks += compare_groups(store, parse_groups(store, [f"A={sides[0]}", f"B={sides[1]}"]))
            over_units += [row.p for row in compare(store, labels[0], labels[-1])[0]]
    layers = [row for row in over_networks if row.layer != OVERALL]
    overall = [row for row in over_networks if row.layer == OVERALL]
    print(
        f"{asked.runs} pairs of groups of {asked.networks} networks, {time.perf_counter() - start:.0f} s; p < {LEVEL}:"
    )
    print(f"  over networks, by layer         {rate([row.p for row in layers])}")
    print(f"  over networks, by layer, Holm   {rate([row.p_holm for row in layers])}")
    print(f"  over networks, over all layers  {rate([row.p for row in overall])}")
    print(f"  over units of two networks      {rate(over_units)}")


if __name__ == "__main__":
    main()
