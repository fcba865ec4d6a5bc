"""Reads annotated images in the layout of Broden, Network Dissection's data set (Bau et al. 2017).

    index.csv       image, split, ih, iw, sh, sw, and one column per category: segmentations (PNG, the label of a pixel
                    is R + 256 * G) and labels of the whole image (numbers), separated by `;`
    label.csv       number, name, category, ...: the names of the labels
    category.csv    name, ...
    c_CATEGORY.csv  code, number, name, frequency, coverage: the labels of a category
    images/         the images and segmentations

A label that several categories list belongs to the one in which it covers most, as in the reference code.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shapebias.core.concepts import Concepts
from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.annotations import Annotations, LabelledImage, Numbers
from shapebias.precompute.images.decode import read_image
from shapebias.precompute.images.geometry import Geometry, ImageError
from shapebias.precompute.images.image_set import ImageSet, Skipped

_FILES = ("index.csv", "label.csv", "category.csv")
_META = ("image", "split", "ih", "iw", "sh", "sw")
_LARGEST = 4096  # side of a segmentation
_MOST_LABELS = (1 << 16) - 1

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Broden:
    """The content of a Broden folder.

    image_set:      the images that can be used, without classes
    concepts:       the labels as concepts, in the order of label.csv's numbers
    cells:          for every image of `image_set`, by its path, the files of its segmentations and the labels of the
                    whole image, separated by `;`
    size:           width and height of the images, px
    numbers:        uint16 [largest label + 1], the number of the concept (from 1) by the label in the files; 0 for a
                    label that is none
    height, width:  of the segmentations, px
    skipped:        the images that cannot be used
    problems:       a line on each fault of the index and the lists of labels
    """

    image_set: ImageSet
    concepts: Concepts
    cells: dict[bytes, str]
    size: tuple[int, int]
    numbers: Numbers
    height: int
    width: int
    skipped: tuple[Skipped, ...]
    problems: tuple[str, ...]

    def annotations(self, geometry: Geometry) -> Annotations:
        """Return the images and their labels for a network with this geometry; no image is read yet.

        Images are resized whole to the network's input, never cropped, since the labels belong to the whole image. The
        planes of labels keep the segmentations' size, height x width.
        """
        whole = geometry.whole
        kinds = [Counter(_is_label(entry) for entry in cell.split(";") if entry) for cell in self.cells.values()]
        read = partial(
            _read,
            root=self.image_set.prefix,
            cells=self.cells,
            size=self.size,
            shape=(self.height, self.width),
            numbers=self.numbers,
            geometry=whole,
        )
        return Annotations(
            image_set=self.image_set,
            concepts=self.concepts,
            read=read,
            geometry=whole,
            height=self.height,
            width=self.width,
            planes=max(counts[False] for counts in kinds),
            whole=max(counts[True] for counts in kinds),
            source="Broden",
            skipped=self.skipped,
            problems=self.problems,
        )


def read_broden(folder: Path, limit: int | None = None) -> Broden:
    """Read the index and the labels of a Broden folder. Its images are not read yet.

    With `limit`, at most so many images are kept, evenly spread over the index. Raises UsageError where the folder has
    another layout or no image that can be used.
    """
    folder_text = printable(str(folder))
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder_text} is no Broden folder: no {', '.join(missing)} in it")
    problems: list[str] = []
    categories = [row.get("name", "") for row in _rows(folder / "category.csv")]
    concepts, numbers = _read_labels(folder, categories, problems)
    rows = list(_rows(folder / "index.csv"))
    unknown = [name for name in (rows[0] if rows else {}) if name not in (*_META, *categories)]
    problems += [f"index.csv has a category {printable(name, 40)} that category.csv lacks" for name in unknown]
    sizes = Counter((row.get("sh"), row.get("sw"), row.get("ih"), row.get("iw")) for row in rows)
    usual = [int(size) for size in sizes.most_common(1)[0][0] if size and size.isdecimal()] if rows else []
    if not rows or len(usual) < 4 or not len(concepts) or not 0 < max(usual[:2]) <= _LARGEST or not min(usual):
        raise UsageError(f"{folder_text} is no Broden folder: index.csv, label.csv and category.csv describe no images")
    cells, skipped, bare = _read_index(rows, categories, usual)
    if bare:
        problems.append(f"{bare:,} images of index.csv have no labels")
    if not cells:
        reason = skipped[0].reason if skipped else "none has labels"
        raise UsageError(f"no image of {folder_text} can be used: {reason}")
    labels = np.full(len(cells), -1, np.int32)
    image_set = ImageSet(root=folder / "images", paths=list(cells), labels=labels)
    if limit is not None:
        image_set = image_set.spread(limit)
        cells = {path: cells[path] for path in image_set.paths}
    height, width, image_height, image_width = usual
    return Broden(
        image_set=image_set,
        concepts=concepts,
        cells=cells,
        size=(image_width, image_height),
        numbers=numbers,
        height=height,
        width=width,
        skipped=tuple(skipped),
        problems=tuple(problems),
    )


def _rows(file: Path) -> Iterator[Row]:
    """Yield a CSV file's rows as dictionaries, a missing cell as "". Raises UsageError where it cannot be read."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
            for row in csv.DictReader(text):
                yield {name: value or "" for name, value in row.items() if isinstance(name, str)}
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{printable(str(file))} cannot be read: {printable(str(reason), 80)}") from error


def _read_labels(folder: Path, categories: list[str], problems: list[str]) -> tuple[Concepts, Numbers]:
    """Return the concepts, in the order of label.csv's numbers, and `Broden.numbers`.

    Labels without a category and categories without a label are left out; lines on them are appended to `problems`.
    Raises UsageError where a file cannot be read.
    """
    names: dict[int, str] = {}
    listed: dict[int, list[tuple[float, int]]] = {}
    for row in _rows(folder / "label.csv"):
        label = _integer(row.get("number", ""))
        if label and label <= _MOST_LABELS:
            names[label] = row.get("name", "")
            parts = [part.partition("(")[0] for part in row.get("category", "").split(";")]
            listed[label] = [(-1.0, categories.index(part)) for part in parts if part in categories]
    for index, category in enumerate(categories):
        file = folder / f"c_{category}.csv"
        members = list(_rows(file)) if "/" not in category and file.is_file() else []
        known = [(_integer(row.get("number", "")), row) for row in members]
        for label, row in known:
            if label in listed:
                listed[label].append((_real(row.get("coverage", "")), index))
        if not any(label in listed for label, _ in known):
            name = printable(category, 40)
            why = "lists no label" if members else "is missing or empty"
            problems.append(f"the category {name} is empty: c_{name}.csv {why}")
    homeless = [label for label in names if not listed[label]]
    if homeless:
        problems.append(
            f"{len(homeless)} labels of label.csv are in no category: {printable(names[homeless[0]], 40)}, …"
        )
    used = sorted(label for label in names if listed[label])
    numbers = np.zeros(max(used, default=0) + 1, np.uint16)
    numbers[used] = np.arange(1, len(used) + 1)
    category_of = tuple(max(listed[label])[1] for label in used)
    return Concepts(tuple(printable(names[label], 80) for label in used), category_of, tuple(categories)), numbers


def _read_index(
    rows: list[Row], categories: list[str], usual: list[int]
) -> tuple[dict[bytes, str], list[Skipped], int]:
    """Return `Broden.cells`, the images that cannot be used, and how many images have no labels.

    `usual` is the size that most rows have: the segmentations' height and width, then the images' height and width.
    """
    cells: dict[bytes, str] = {}
    skipped = []
    bare = 0
    for row in rows:
        image = row.get("image", "")
        path = image.encode("utf-8", "surrogateescape")
        entries = [part for name in categories for part in row.get(name, "").split(";") if part]
        sizes = [_integer(row.get(name, "")) for name in ("sh", "sw", "ih", "iw")]
        if not image or any(_leaves(name) for name in (image, *entries)):
            skipped.append(Skipped(path, "a path that leads out of the folder, or none"))
        elif sizes != usual:
            skipped.append(Skipped(path, "another size than most images of the index"))
        elif usual[2] != usual[3]:
            skipped.append(Skipped(path, "not square"))
        elif not entries:
            bare += 1
        else:
            cells[path] = ";".join(entries)
    return cells, skipped, bare


def _read(
    path: bytes,
    *,
    root: bytes,
    cells: dict[bytes, str],
    size: tuple[int, int],
    shape: tuple[int, int],
    numbers: Numbers,
    geometry: Geometry,
) -> LabelledImage:
    """Return an image with its labels. Raises ImageError where it, or its annotation, cannot be used."""
    image = read_image(path)
    if image.size != size:
        raise ImageError("its size is not that of the index")
    entries = cells[path.removeprefix(root).lstrip(b"/")].split(";")
    whole = np.array([int(entry) for entry in entries if _is_label(entry)], np.int64)
    files = [entry for entry in entries if not _is_label(entry)]
    planes = np.zeros((len(files), *shape), np.int64)
    for plane, file in zip(planes, files, strict=True):
        plane[...] = _read_segmentation(root + b"/" + file.encode("utf-8", "surrogateescape"), shape)
    return LabelledImage(geometry(image), _number(planes, numbers), _number(whole, numbers))


def _read_segmentation(path: bytes, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    try:
        pixels = np.asarray(read_image(path)).astype(np.int64)
    except ImageError as error:
        raise ImageError(f"a segmentation: {error}") from error
    if pixels.shape[:2] != shape:
        raise ImageError("a segmentation's size is not that of the index")
    return pixels[..., 0] + 256 * pixels[..., 1]


def _number(labels: npt.NDArray[np.int64], numbers: Numbers) -> Numbers:
    """Return the numbers of the concepts for labels as in the files, of the same shape; 0 stays 0.

    Raises ImageError for a label that label.csv does not list.
    """
    concepts = numbers[np.minimum(labels, len(numbers) - 1)]
    if ((labels >= len(numbers)) | ((labels > 0) & (concepts == 0))).any():
        raise ImageError("a label that label.csv lacks")
    return concepts


def _leaves(path: str) -> bool:
    """Return whether a path leads out of the folder that it is relative to, or holds a NUL."""
    return path.startswith("/") or "\0" in path or ".." in path.split("/")


def _is_label(entry: str) -> bool:
    """Return whether an entry of the index is a label of the whole image rather than a file."""
    return re.fullmatch("[0-9]{1,9}", entry, re.ASCII) is not None


def _integer(text: str) -> int:
    """Return the number that a text of up to nine digits stands for; 0 for any other text."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text.strip(), re.ASCII) else 0


def _real(text: str) -> float:
    """Return the number that digits, with or without a fraction, stand for; 0 for any other text."""
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,20})?", text.strip(), re.ASCII) else 0.0
