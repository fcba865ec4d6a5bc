"""Built-in images with their annotation in the layout of Broden (see `broden.py`)."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from shapebias.precompute.images.builtin.drawing import CONCEPTS, SIZE, annotate_path, draw_path
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.progress import Reporter


def write_broden(image_set: ImageSet, folder: Path, progress: Reporter) -> None:
    """Write built-in images, their segmentations and Broden's CSV files into the new folder `folder`.

    `progress` is advanced by 1 for each image. Raises OSError where something cannot be written.
    """
    categories = CONCEPTS.categories
    frequency = np.zeros(len(CONCEPTS) + 1, np.int64)
    pixels = np.zeros(len(CONCEPTS) + 1, np.int64)
    rows = []
    for name in map(bytes.decode, image_set.paths):
        target = folder / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_path(name.encode())).save(target)
        maps = annotate_path(name.encode()).astype(np.int64)
        cells = [f"{name.removesuffix('.png')}_{category}.png" for category in categories]
        for labels, cell in zip(maps, cells, strict=True):
            channels = np.stack([labels % 256, labels // 256, np.zeros_like(labels)], -1)
            Image.fromarray(channels.astype(np.uint8)).save(folder / "images" / cell)
        counts = np.bincount(maps.ravel(), minlength=len(pixels))
        pixels += counts
        frequency += counts > 0
        rows.append([name, "val", SIZE, SIZE, SIZE, SIZE, *cells])
        progress.advance(1)
    _write(folder / "index.csv", ["image", "split", "ih", "iw", "sh", "sw", *categories], rows)
    _write_labels(folder, frequency.tolist(), [f"{count / SIZE**2:.6f}" for count in pixels])


def _write_labels(folder: Path, frequency: Sequence[int], coverage: Sequence[str]) -> None:
    names, categories = CONCEPTS.names, CONCEPTS.categories
    numbers: dict[str, list[int]] = {category: [] for category in categories}
    labels = []
    for number, (name, index) in enumerate(zip(names, CONCEPTS.category, strict=True), 1):
        category = categories[index]
        numbers[category].append(number)
        labels.append([number, name, f"{category}({frequency[number]})", frequency[number], coverage[number], ""])
    _write(folder / "label.csv", ["number", "name", "category", "frequency", "coverage", "syns"], labels)
    listed = [
        [name, members[0], members[-1], len(members), max(frequency[number] for number in members)]
        for name, members in numbers.items()
    ]
    _write(folder / "category.csv", ["name", "first", "last", "count", "frequency"], listed)
    for name, members in numbers.items():
        codes = [
            [code, number, names[number - 1], frequency[number], coverage[number]]
            for code, number in enumerate(members, 1)
        ]
        _write(folder / f"c_{name}.csv", ["code", "number", "name", "frequency", "coverage"], codes)


def _write(file: Path, head: list[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
