"""JPEGs that look a little like photos, written by many processes.

It imports numpy and Pillow only, so that the processes start fast.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("n01440764", "n02099601", "n02123045", "n02504458", "n02690373", "n02747177", "n03017168", "n04146614")
_SCALES = (3, 9, 40)  # cells across, of the noise that a picture is made of

Kinds = tuple[tuple[int, int, int], ...]  # count, width and height of each


def picture(seed: int, width: int, height: int) -> Image.Image:
    """Return blurred noise of several scales, of another brightness and contrast for every seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cells in _SCALES:
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) - 128
    total = total * rng.uniform(0.2, 1.0) + rng.uniform(64, 192)
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def write_photos(folder: Path, kinds: Kinds, processes: int) -> None:
    """Write `count` JPEGs of width x height for each of the kinds, in a folder for each of some ImageNet classes.

    Raises CalledProcessError.
    """
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    shares = [(str(folder), json.dumps(kinds), number, processes) for number in range(processes)]
    code = f"from {__name__} import write_share; write_share"
    commands = [[sys.executable, "-c", f"{code}{share}"] for share in shares]
    running = [subprocess.Popen(command) for command in commands]
    try:
        for process in running:
            if process.wait():
                raise subprocess.CalledProcessError(process.returncode, process.args)
    finally:
        for process in running:
            process.kill()


def write_share(folder: str, kinds: str, first: int, step: int) -> None:
    """Write every `step`-th of the JPEGs, from the `first` on; `kinds` as JSON."""
    sizes = [(width, height) for count, width, height in json.loads(kinds) for _ in range(count)]
    for number in range(first, len(sizes), step):
        file = Path(folder) / CLASSES[number % len(CLASSES)] / f"{number:05d}.jpg"
        picture(number, *sizes[number]).save(file, quality=90)
