"""Decoding on one processor: `read_pixels`, exact and fast, beside Pillow alone and torchvision, in turns.

    python -m benchmarks.decoding FOLDER [--images 60]

Photos of a folder are written as JPEGs of 500 x 375 and 2048 x 1536 px, then decoded, resized to 256 px and cropped to
224 by each contender, in turns. Prints processor milliseconds an image, the ratio to Pillow alone, and by how much
pixels differ from it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional

from shapebias.precompute.images import geometry as geometries
from shapebias.precompute.images.decode import read_image, read_pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.sources.find import find_images

GEOMETRY = Geometry(256, 224)
ROUNDS = 5
Pixels = NDArray[np.uint8]


def pillow(path: Path) -> Pixels:
    """Decode and resize the whole image with Pillow, then crop it."""
    image = read_image(path)
    short, long = min(image.size), max(image.size)
    other = 256 * long // short
    size = (256, other) if image.width <= image.height else (other, 256)
    left, top = (round((side - 224) / 2) for side in size)
    resized = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


def in_torchvision(path: Path) -> Pixels:
    """Decode and resize with torchvision, on tensors."""
    tensor = torchvision.io.decode_jpeg(torchvision.io.read_file(str(path)))
    resized = functional.resize(tensor, [256], antialias=True)
    pixels: Pixels = functional.center_crop(resized, [224]).permute(1, 2, 0).numpy()
    return pixels


CONTENDERS: dict[str, Callable[[Path], Pixels]] = {
    "Pillow, the whole image": pillow,
    "--decode exact": lambda path: read_pixels(path, GEOMETRY),
    "--decode fast": lambda path: read_pixels(path, GEOMETRY, reduced=True),
    "torchvision": in_torchvision,
}


def write_jpegs(folder: Path, photos: list[bytes], size: tuple[int, int]) -> list[Path]:
    """Write the photos at these paths as JPEGs of `size` (width, height) px into a folder; return the new paths."""
    paths = []
    for number, photo in enumerate(photos):
        path = folder / f"{size[0]}-{number}.jpg"
        read_image(photo).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def compare(paths: list[Path]) -> None:
    """Print what each contender takes for the images, in turns."""
    expected = [pillow(path) for path in paths]
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for name, read in CONTENDERS.items():
        pixels = np.stack([read(path) for path in paths])
        different = np.abs(pixels.astype(int) - np.stack(expected))
        print(f"  {name:24}  differs by {different.mean():.3f} on average, {different.max()} at most")
    for _ in range(ROUNDS):
        for name, read in CONTENDERS.items():
            start = time.process_time()
            for path in paths:
                read(path)
            seconds[name].append((time.process_time() - start) / len(paths))
    reference = statistics.median(seconds["Pillow, the whole image"])
    for name, rounds in seconds.items():
        median = statistics.median(rounds)
        print(f"  {name:24}  {1000 * median:6.2f} ms an image, {reference / median:.2f} x as many images a second")


def main() -> None:
    """Compare the contenders on JPEGs of two sizes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    geometries._Resizing._MANY = 0  # as in a long run
    images, _ = find_images(options.folder, options.images)
    photos = [images.prefix + b"/" + path for path in images.paths]
    with tempfile.TemporaryDirectory() as folder:
        for size, some in (((500, 375), photos), ((2048, 1536), photos[: len(photos) // 3])):
            print(f"{size[0]} x {size[1]} px, {len(some)} images")
            compare(write_jpegs(Path(folder), some, size))


if __name__ == "__main__":
    main()
