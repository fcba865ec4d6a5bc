"""How a run grows: memory and time with the images, throughput with Ray workers, what keeping shards costs.

    python benchmarks/scale.py [--images 100000] [--small 2000] [--skip-ray]

A tiny network (24 units) on generated 32 x 32 px PNG images in tar files; every run in a process of its own.

- growth: peak memory (of the process that runs the network; of its largest decoder) and seconds at `--small` and at
  `--images` images, both without start-up; what the store takes of each image and unit;
- shards: the same images as one shard, the least that can be kept, against as many as a run has by itself;
- Ray: images a second by two local workers of one thread each against one such worker, once both are started.
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
from shapebias.cli.common import share_processors
share_processors()
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings
from shapebias.precompute.shards import Shards
wanted = json.loads(sys.argv[1])
keeping = [0.0, 0.0, 0]
keep = Shards.keep
def timed(self, number, part):
    start = time.perf_counter()
    keeping[1] = keeping[1] or start
    keep(self, number, part)
    keeping[0] += time.perf_counter() - start
    keeping[2] += 1
Shards.keep = timed
wanted["store"] = Path(wanted["store"])
wanted["models"] = parse_specs(wanted["models"])
start = time.perf_counter()
summary = precompute(Settings(device="cpu", **wanted), Silent())
end = time.perf_counter()
own, decoders = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"seconds": end - start, "since_first_shard": end - keeping[1], "shards": keeping[2],
    "keeping": keeping[0], "memory": own, "decoders": decoders, "bytes": summary.store_bytes,
    "images": summary.images, "units": summary.models[0].units}))
"""


def make_images(folder: Path, count: int, each: int = 10_000) -> None:
    """Tar files of 32 x 32 px noise, in class folders."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for first in range(0, count, each):
        with tarfile.open(folder / f"images-{first // each:04d}.tar", "w") as tar:
            for number in range(first, min(first + each, count)):
                content = io.BytesIO()
                coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((32, 32)).save(content, "PNG")
                member = tarfile.TarInfo(f"class{number % 10}/{number:07d}.png")
                member.size = content.tell()
                content.seek(0)
                tar.addfile(member, content)


def run(folder: Path, threads: int | None = None, **settings: Any) -> dict[str, Any]:
    """One run, in a process of its own."""
    wanted = {"models": [f"{folder}/net.py:tiny"], "images": str(folder / "tars"), "store": str(folder / "a.zarr")}
    environment = dict(os.environ) if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", RUN, json.dumps(wanted | {"overwrite": True} | settings)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def growth(folder: Path, small: int, large: int) -> None:
    """Memory and time at two sizes; the first run of all pays for compiled kernels, and is not counted."""
    run(folder, limit=small)
    few, many = run(folder, limit=small), run(folder)
    print(f"growth, {few['units']} units, from {few['images']:,} to {many['images']:,} images")
    print(f"  peak memory     {few['memory']:6.0f} MB {many['memory']:6.0f} MB  {many['memory'] / few['memory']:.2f} x")
    print(f"  largest decoder {few['decoders']:6.0f} MB {many['decoders']:6.0f} MB")
    middle = run(folder, limit=large // 2)
    slope = (many["seconds"] - middle["seconds"]) / (middle["seconds"] - few["seconds"])
    expected = (many["images"] - middle["images"]) / (middle["images"] - few["images"])
    rows = [(each["images"], each["seconds"]) for each in (few, middle, many)]
    print("  seconds         " + ", ".join(f"{seconds:.1f} for {images:,}" for images, seconds in rows))
    print(f"  second half against first half: {slope / expected:.2f} x the time an image (1 = linear)")
    each = (many["bytes"] - few["bytes"]) / (many["images"] - few["images"])
    print(f"  store           {each:.0f} bytes an image, {each / many['units']:.2f} an image and unit")


def shards(folder: Path) -> None:
    """One shard against many, in turns."""
    totals: dict[str, list[dict[str, Any]]] = {"one": [], "many": []}
    for _ in range(2):
        totals["one"].append(run(folder, limit=20_000, shard_size=20_000))
        totals["many"].append(run(folder, limit=20_000))
    one, many = (min(each["seconds"] for each in totals[name]) for name in ("one", "many"))
    last = totals["many"][-1]
    print(f"shards, 20,000 images: {last['shards']} shards {many:.1f} s, one shard {one:.1f} s: {many / one:.3f} x")
    print(f"  writing shards to the disk took {last['keeping'] / last['seconds']:.1%} of the run")


def workers(folder: Path) -> None:
    """One and two local Ray workers, a thread each; counted from the first shard, when they have started."""
    speeds = []
    for count in (1, 2):
        settings = {"engine": "ray", "ray_workers": count, "cpus_per_worker": 0.5, "workers": 0, "shard_size": 256}
        found = run(folder, 1, limit=8192, models=[f"{folder}/net.py:wide"], batch_size=32, **settings)
        speeds.append((found["images"] - 256 * count) / found["since_first_shard"])
    print(f"Ray: 1 worker {speeds[0]:.0f} images/s, 2 workers {speeds[1]:.0f}: {speeds[1] / speeds[0]:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--small", type=int, default=2_000)
    parser.add_argument("--skip-ray", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.py").write_text(NETWORK)
        (folder / "tars").mkdir()
        start = time.perf_counter()
        make_images(folder / "tars", options.images)
        print(f"{options.images:,} images made in {time.perf_counter() - start:.0f} s")
        growth(folder, options.small, options.images)
        shards(folder)
        if not options.skip_ray:
            workers(folder)


if __name__ == "__main__":
    main()
