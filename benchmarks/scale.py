"""Measure how a run scales: memory and time with images, throughput with Ray workers, the cost of shards.

    python -m benchmarks.scale [--images 100000] [--small 2000] [--folders] [--skip-ray]

A tiny network (24 units) on generated 32 x 32 px PNG images in tar files (`--folders`: in folders); every run in a
process of its own. Beside seconds it tells processor seconds, of all processes: those do not depend on what else runs.

- growth: peak memory (of the process that runs the network) and seconds at `--small` and at `--images` images, both
  without start-up; what the store takes of each image and unit;
- shards: the same images as one shard, the least that can be kept, against as many as a run has by itself, in turns;
  what writing them takes, and what comes after the last one: merging, writing the store;
- Ray: images a second by two local workers of one thread each against one such worker, once both are started, in turns.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

NETWORK = """
import torch

class Tiny(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = torch.nn.Sequential(torch.nn.Conv2d(3, width, 3, 2, 1), torch.nn.ReLU())
        self.conv2 = torch.nn.Sequential(torch.nn.Conv2d(width, 2 * width, 3, 2, 1), torch.nn.ReLU())
        self.head = torch.nn.Linear(2 * width, 10)
        self.pretrained_cfg = {"input_size": (3, 32, 32), "crop_pct": 1.0}

    def forward(self, x):
        return self.head(self.conv2(self.conv1(x)).mean((2, 3)))

def tiny():
    torch.manual_seed(0)
    return Tiny(8)

def wide():
    torch.manual_seed(0)
    return Tiny(256)
"""
RUN = """
import json, resource, sys, time
from pathlib import Path
from shapebias.commands.common import share_processors
share_processors()
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings
from shapebias.precompute.scanning.shards import Shards
wanted = json.loads(sys.argv[1])
keeping, kept = 0.0, []
keep = Shards.keep
def timed(self, number, part):
    global keeping
    start = time.perf_counter()
    keep(self, number, part)
    keeping += time.perf_counter() - start
    if self.folder.name.startswith("activations"):
        kept.append(time.perf_counter())
Shards.keep = timed
wanted["store"] = Path(wanted["store"])
wanted["models"] = parse_specs(wanted["models"])
start = time.perf_counter()
summary = precompute(Settings(device="cpu", **wanted), Silent())
end = time.perf_counter()
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"seconds": end - start, "shards": len(kept), "keeping": keeping, "finishing": end - kept[-1],
    "processor": sum(each.ru_utime + each.ru_stime for each in usage), "spans": [each - kept[0] for each in kept],
    "memory": usage[0].ru_maxrss / 1024, "bytes": summary.store_bytes,
    "images": summary.images, "units": summary.models[0].units}))
"""


def noise(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield paths in class folders, and the contents of PNG files of 32 x 32 px noise."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        content = io.BytesIO()
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32)).save(content, "PNG")
        yield f"class{number % 10}/{number:07d}.png", content.getvalue()


def make_folders(folder: Path, count: int) -> None:
    for number in range(10):
        (folder / f"class{number}").mkdir()
    for name, content in noise(count):
        (folder / name).write_bytes(content)


def make_tars(folder: Path, count: int, images_per_file: int = 10_000) -> None:
    images = noise(count)
    for number in range(-(-count // images_per_file)):
        with tarfile.open(folder / f"images-{number:04d}.tar", "w") as tar:
            for name, content in islice(images, images_per_file):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def run(folder: Path, threads: int | None = None, **settings: Any) -> dict[str, Any]:
    """Run `precompute` in a process of its own, and return what was measured of it, by name."""
    wanted = {"models": [f"{folder}/net.py:tiny"], "images": str(folder / "images"), "store": str(folder / "a.zarr")}
    environment = dict(os.environ) if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", RUN, json.dumps(wanted | {"overwrite": True} | settings)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def growth(folder: Path, small: int, large: int) -> None:
    """Memory and time at two sizes; the first run of all pays for compiled kernels, and is not counted."""
    run(folder, limit=small)
    few, many = run(folder, limit=small), run(folder)
    print(f"growth, {few['units']} units, from {few['images']:,} to {many['images']:,} images")
    print(f"  peak memory     {few['memory']:6.0f} MB {many['memory']:6.0f} MB  {many['memory'] / few['memory']:.2f} x")
    middle = run(folder, limit=large // 2)
    expected = (many["images"] - middle["images"]) / (middle["images"] - few["images"])
    for kind in ("seconds", "processor"):
        slope = (many[kind] - middle[kind]) / (middle[kind] - few[kind])
        rows = ", ".join(f"{run_facts[kind]:.1f} for {run_facts['images']:,}" for run_facts in (few, middle, many))
        print(f"  {kind:15s} {rows}: an image of the second half takes {slope / expected:.2f} x one of the first")
    bytes_each = (many["bytes"] - few["bytes"]) / (many["images"] - few["images"])
    print(f"  store           {bytes_each:.0f} bytes per image, {bytes_each / many['units']:.2f} per image and unit")


def shards(folder: Path) -> None:
    """One shard against many, in turns."""
    totals: dict[str, list[dict[str, Any]]] = {"one": [], "many": []}
    for _ in range(2):
        totals["one"].append(run(folder, limit=20_000, shard_size=20_000))
        totals["many"].append(run(folder, limit=20_000))
    last = min(totals["many"], key=lambda run_facts: run_facts["seconds"])
    print(f"shards, {last['images']:,} images: {last['shards']} against one")
    for kind in ("seconds", "processor"):
        one, many = (min(run_facts[kind] for run_facts in totals[name]) for name in ("one", "many"))
        print(f"  {kind:15s} {many:.1f} against {one:.1f}: {many / one:.3f} x")
    print(f"  writing them    {last['keeping'] / last['seconds']:.1%} of the run")
    print(f"  after the last  {last['finishing']:.1f} s: merging, writing the store")


def workers(folder: Path) -> None:
    """One and two local Ray workers, a thread each; counted from the first shard, when they have started."""
    started = 3  # shards: all workers measure by then
    speeds: dict[int, list[float]] = {1: [], 2: []}
    for count in (1, 2, 1, 2):
        settings = {"engine": "ray", "ray_workers": count, "cpus_per_worker": 0.5, "workers": 0, "shard_size": 256}
        summary = run(folder, 1, limit=4096, models=[f"{folder}/net.py:wide"], batch_size=32, **settings)
        first, last = (summary["spans"][index] for index in (started, -1))
        speeds[count].append(256 * (summary["shards"] - 1 - started) / (last - first))
    one, two = max(speeds[1]), max(speeds[2])
    print(f"Ray: 1 worker {one:.0f} images/s, 2 workers {two:.0f}: {two / one:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--small", type=int, default=2_000)
    parser.add_argument("--folders", action="store_true", help="images in folders, not in tar files")
    parser.add_argument("--skip-ray", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.py").write_text(NETWORK)
        (folder / "images").mkdir()
        start = time.perf_counter()
        (make_folders if options.folders else make_tars)(folder / "images", options.images)
        print(f"{options.images:,} images made in {time.perf_counter() - start:.0f} s")
        growth(folder, options.small, options.images)
        shards(folder)
        if not options.skip_ray:
            workers(folder)


if __name__ == "__main__":
    main()
