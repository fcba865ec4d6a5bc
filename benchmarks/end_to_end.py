"""`shapebias precompute` from image files, against decoding alone and the pass alone.

    python -m benchmarks.end_to_end FOLDER [--limit 500] [--network alexnet]

In one process, in turns: decode every image and do nothing with it; the activation pass on the same images, decoded
already; both together with the store written, as the command does. The limit is the slower of the first two.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision

from shapebias.precompute.device import choose_device
from shapebias.precompute.images.loader import Loader, default_workers
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.measures.activation import ActivationPass, StatisticsPlan
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings

BATCH = 32


def decoding(folder: Path, limit: int) -> tuple[float, list[np.ndarray]]:
    """Return how many images of a folder are decoded per second, and the decoded batches."""
    images, _ = find_images(str(folder), limit)
    start = time.perf_counter()
    geometry = imagenet_preprocessing().geometry
    with Loader(
        images.prefix, images.paths, geometry, BATCH, workers=default_workers(len(images)), thumbnails=True
    ) as loader:
        batches = [batch.pixels.copy() for batch in loader]
    return len(images) / (time.perf_counter() - start), batches


def passing(network: str, batches: list[np.ndarray]) -> float:
    """Return how many decoded images per second the activation pass takes."""
    device = choose_device("auto", "auto")
    torch.manual_seed(0)
    placed = device.to(torchvision.models.get_model(network, weights=None).eval())
    with device.inference():
        layers = Trace(placed, device.images(batches[0][:2], imagenet_preprocessing())).paper()
    count = sum(map(len, batches))
    running = ActivationPass(placed, layers, device, StatisticsPlan(25, count, 1000))
    start = time.perf_counter()
    first = 0
    for pixels in batches:
        places = np.arange(first, first + len(pixels))
        running.run(device.images(pixels, imagenet_preprocessing()), places, places % 1000)
        first += len(pixels)
    device.synchronize()
    return count / (time.perf_counter() - start)


class StreamStopwatch(Silent):
    """Notes when the images begin to stream, and when the last one is through."""

    def __init__(self) -> None:
        self.start = self.end = 0.0

    def stage(self, what: str, total: int | None = None, unit: str = "images") -> None:
        if total and not self.start:
            self.start = time.perf_counter()

    def advance(self, steps: int) -> None:
        self.end = time.perf_counter()


def command(network: str, folder: Path, limit: int) -> tuple[float, float]:
    """Return the images per second of `precompute` while they stream, and those of the whole command."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "random.pth"
        torch.save(torchvision.models.get_model(network, weights=None).state_dict(), weights)
        settings = Settings(
            models=[ModelSpec(network, network, weights)],
            images=str(folder),
            store=Path(scratch) / "x.zarr",
            limit=limit,
        )
        watch = StreamStopwatch()
        start = time.perf_counter()
        summary = precompute(settings, watch)
        whole = time.perf_counter() - start
    return summary.images / (watch.end - watch.start), summary.images / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--network", default="alexnet")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    passing(options.network, decoding(options.folder, BATCH)[1])  # warms up, compiles the kernels
    for _ in range(options.rounds):
        decode, batches = decoding(options.folder, options.limit)
        alone = passing(options.network, batches)
        stream, whole = command(options.network, options.folder, options.limit)
        limit = min(decode, alone)
        print(
            f"{options.network}: decoding alone {decode:.1f} images/s, pass alone {alone:.1f}, from files {stream:.1f} "
            f"({stream / limit:.2f} of the slower), whole command {whole:.1f} ({whole / limit:.2f})"
        )


if __name__ == "__main__":
    main()
