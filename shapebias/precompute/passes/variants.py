"""Accuracy on ready-made variants of the images: folders such as ImageNet-C's, -R's, -A's and -Sketch's."""

from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.folder import ImageSet, list_images

_DEPTH = 3  # folders above the class folders: ImageNet-C's corruption and severity, and one more


@dataclass(frozen=True)
class Variant:
    """What a model made of a folder's images: how many it decided, how many have a class it knows, how many it got."""

    name: str
    images: int
    labelled: int
    correct: int
    skipped: int

    @property
    def accuracy(self) -> float:
        """The fraction of the images with a known class that were right; NaN without any."""
        return self.correct / self.labelled if self.labelled else float("nan")

    def to_attributes(self) -> dict[str, Any]:
        """As JSON, for the store."""
        return asdict(self)


def parse_variant(text: str) -> tuple[str, str]:
    """`NAME=DIR`. Raises UsageError."""
    name, equals, folder = text.partition("=")
    if not name or not equals or not folder or not name.isprintable() or len(name) > 60:
        raise UsageError(f"--variant {printable(text)}: write NAME=DIR, such as sketch=imagenet-sketch")
    return name, folder


def find_variants(name: str, folder: Path, class_ids: list[str]) -> list[tuple[str, ImageSet]]:
    """The image sets in a folder: itself where it has folders of the classes, else those of its folders that do.

    Nested ones are called NAME/FOLDER (ImageNet-C: `C/fog/3`). Raises UsageError where there is none.
    """
    found = list(_search(name, folder, set(class_ids), _DEPTH))
    if not found:
        shown = printable(str(folder))
        raise UsageError(f"--variant {printable(name)}: no folders of the probe images' classes in {shown}")
    return [(each, list_images(place)[0]) for each, place in found]


def _search(name: str, folder: Path, classes: set[str], depth: int) -> list[tuple[str, Path]]:
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
        if any(child.name in classes and any(child.iterdir()) for child in children):
            return [(name, folder)]
    except OSError:
        return []
    if depth == 0:
        return []
    return [each for child in children for each in _search(f"{name}/{child.name}", child, classes, depth - 1)]


def judge(name: str, decided: NDArray[np.int32], targets: NDArray[np.int32], seen: NDArray[np.bool_]) -> Variant:
    """How a model does on a folder's images: its decisions, the right output of each (-1 = none), int32 [images], and
    which of them could be used."""
    known = seen & (targets >= 0)
    correct = int((decided == targets)[known].sum())
    return Variant(name, int(seen.sum()), int(known.sum()), correct, int((~seen).sum()))


def pair_by_name(
    images: ImageSet, used: NDArray[np.int64], other: ImageSet
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The images of `other` that are named as used ones, but for folders above the class and the extension.

    Returns int64 [pairs] each: which of `used`, and which of `other`. Raises UsageError where there is none.
    """
    by_name = {_stem(path): index for index, path in enumerate(other.paths)}
    pairs = [(row, by_name.get(_stem(images.paths[position]), -1)) for row, position in enumerate(used)]
    table = np.array([pair for pair in pairs if pair[1] >= 0], np.int64).reshape(-1, 2)
    if not len(table):
        raise UsageError(f"no image in {printable(str(other.root))} is named as a probe image is")
    return table[:, 0], table[:, 1]


def _stem(path: bytes) -> str:
    pure = PurePath(path.decode("utf-8", "surrogateescape"))
    return f"{pure.parent.name}/{pure.stem}"
