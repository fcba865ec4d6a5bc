"""Measure how long a network takes to be ready: loading, following its data, testing that images do not mix.

    python -m benchmarks.startup OTHER_CHECKOUT [--turns 9] [--limit-ratio 1.3]

Runs this checkout and another one, an older version, in turns; each time in a process of its own, in which imports do
not count. For ResNet-50 (a file of random weights) and EfficientNet-Lite0 it prints the medians of the seconds, and
those of the processor's seconds, and fails if the latter's ratio is above the limit.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torchvision

HERE = Path(__file__).resolve().parents[1]
CHILD = """
import json, sys, time
from shapebias.precompute.device import choose_device
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.runner import prepare
try:
    from shapebias.precompute.images.sources.find import find_images
except ImportError:  # as it was called in version 0.1
    from shapebias.precompute.images.source import find_images

import timm, torchvision
images, device = find_images("builtin:probe", 2)[0], choose_device("cpu", "auto")
wall, processor = time.perf_counter(), time.process_time()
prepare(load_model(parse_spec(sys.argv[1])), images, device, "paper")
print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))
"""


def main() -> None:
    """Measure in turns, print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of another version")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--limit-ratio", type=float, default=1.3)
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "resnet50.pt"
        torch.save(torchvision.models.resnet50(weights=None).state_dict(), weights)
        lite = HERE / "examples" / "efficientnet_lite0.py"
        for name, spec in (("ResNet-50", f"resnet50@{weights}"), ("EfficientNet-Lite0", f"{lite}:build")):
            times: dict[Path, list[list[float]]] = {HERE: [], options.other.resolve(): []}
            for _ in range(options.turns):
                for checkout, seconds in times.items():
                    seconds.append(_measure(checkout, spec))
            (wall, processor), (old_wall, old_processor) = (
                [statistics.median(column) for column in zip(*seconds, strict=True)] for seconds in times.values()
            )
            print(
                f"{name}: {1000 * wall:.0f} ms, {1000 * old_wall:.0f} ms in the other version, ratio "
                f"{wall / old_wall:.2f}; of the processor {1000 * processor:.0f} and {1000 * old_processor:.0f} ms, "
                f"ratio {processor / old_processor:.2f}"
            )
            worst = max(worst, processor / old_processor)
    sys.exit(worst > options.limit_ratio)


def _measure(checkout: Path, spec: str) -> list[float]:
    """Return the seconds that a checkout takes, and those of the processor."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", CHILD, spec]
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(run.stdout.splitlines()[-1])
    return seconds


if __name__ == "__main__":
    main()
