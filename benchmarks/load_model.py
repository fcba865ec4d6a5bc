"""Measure how long a ResNet-50 file takes to become a network, beside torch.load of it.

    python -m benchmarks.load_model [--runs 15] [--limit-ratio 1.5]

Prints the medians, the fastest runs and the thread's processor time of both, for a bare state dict and a file of
`robustness`, and fails if the bare one takes more processor time than the limit. The file's sha256, which nothing waits
for until the store is written, is waited for after each load but not counted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision

from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.spec import parse_spec


def main() -> None:
    """Write, load in turns, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--limit-ratio", type=float, default=1.5)
    options = parser.parse_args()
    state: dict[str, Any] = torchvision.models.resnet50(weights=None).state_dict()
    robust = {f"module.{part}model.{name}": value for part in ("", "attacker.") for name, value in state.items()}
    robust |= {f"module.normalizer.new_{name}": torch.full((3, 1, 1), 0.5) for name in ("mean", "std")}
    with tempfile.TemporaryDirectory() as folder:
        ratios = [
            _compare(name, content, Path(folder) / "resnet50.pt", options.runs)
            for name, content in (("bare", state), ("robustness", {"model": robust}))
        ]
    sys.exit(ratios[0] > options.limit_ratio)


def _compare(name: str, content: Any, path: Path, runs: int) -> float:
    torch.save(content, path)
    spec = parse_spec(f"resnet50@{path}")
    reading, loading = _times(
        [lambda: torch.load(path, map_location="cpu", weights_only=True), lambda: load_model(spec)], runs
    )
    ratios = [of(loading) / of(reading) for of in (_median, _fastest, _processor)]
    print(
        f"{name}: torch.load {1000 * _median(reading):.0f} ms, load_model {1000 * _median(loading):.0f} ms; ratio of "
        f"medians {ratios[0]:.2f}, of the fastest {ratios[1]:.2f}, of processor time {ratios[2]:.2f}"
    )
    return ratios[2]


Times = list[tuple[float, float]]  # seconds of wall and processor


def _times(actions: list[Callable[[], Any]], runs: int) -> list[Times]:
    all_times: list[Times] = [[] for _ in actions]
    for _ in range(runs):
        for action, times in zip(actions, all_times, strict=True):
            wall, processor = time.perf_counter(), time.thread_time()
            result = action()
            times.append((time.perf_counter() - wall, time.thread_time() - processor))
            if isinstance(result, LoadedModel):
                assert result.file_sha256
    return all_times


def _median(times: Times) -> float:
    return statistics.median(wall for wall, _ in times)


def _fastest(times: Times) -> float:
    return min(wall for wall, _ in times)


def _processor(times: Times) -> float:
    return statistics.median(processor for _, processor in times)


if __name__ == "__main__":
    main()
