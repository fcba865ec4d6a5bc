"""Ready-made variants of the images: folders such as ImageNet-C's, -R's, -A's and -Sketch's."""

from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.folder import list_images

_DEPTH = 3  # folders above the class folders: ImageNet-C's corruption and severity, and one more


def parse_variant(text: str) -> tuple[str, str]:
    """Return name and folder of `NAME=DIR`, a value of `--variant`.

    Raises UsageError for another form, and for a name of more than 60 characters or with unprintable ones.
    """
    name, equals, folder = text.partition("=")
    if not name or not equals or not folder or not name.isprintable() or len(name) > 60:
        raise UsageError(f"--variant {printable(text)}: write NAME=DIR, such as sketch=imagenet-sketch")
    return name, folder


def find_variants(name: str, folder: Path, class_ids: list[str]) -> list[tuple[str, ImageSet]]:
    """Return the variants in a folder, each with its name and its images.

    The folder is one variant, called `name`, where it has folders named as some of the classes `class_ids`. Else its
    sub-folders that have such folders, up to three levels below, are variants called NAME/FOLDER (ImageNet-C:
    `C/fog/3`). Raises UsageError where there is none, and the errors of `list_images`.
    """
    folders = _search(name, folder, set(class_ids), _DEPTH)
    if not folders:
        folder_text = printable(str(folder))
        raise UsageError(f"--variant {printable(name)}: no folders of the probe images' classes in {folder_text}")
    return [(variant, list_images(variant_folder)[0]) for variant, variant_folder in folders]


def _search(name: str, folder: Path, classes: set[str], depth: int) -> list[tuple[str, Path]]:
    """Return the folders, each after its variant's name, that have non-empty folders named as classes.

    The search goes at most `depth` levels below `folder`, and no deeper than a folder that is returned. Folders that
    cannot be listed are passed over.
    """
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
        if any(child.name in classes and any(child.iterdir()) for child in children):
            return [(name, folder)]
    except OSError:
        return []
    if depth == 0:
        return []
    deeper = (_search(f"{name}/{child.name}", child, classes, depth - 1) for child in children)
    return [variant for variants in deeper for variant in variants]


def pair_by_name(
    image_set: ImageSet, used: NDArray[np.int64], other: ImageSet
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of a used image and the image of `other` with the same class folder and name.

    `used` are the indices of the used images in `image_set`, int64. Extensions, and folders above the class folder, may
    differ. Returns two arrays, int64 [pairs]: indices into `used`, and indices into `other`. Raises UsageError where
    there is no pair.
    """
    by_name = {_stem(path): index for index, path in enumerate(other.paths)}
    pairs = [(row, by_name.get(_stem(image_set.paths[position]), -1)) for row, position in enumerate(used)]
    table = np.array([pair for pair in pairs if pair[1] >= 0], np.int64).reshape(-1, 2)
    if not len(table):
        raise UsageError(f"no image in {printable(str(other.root))} is named as a probe image is")
    return table[:, 0], table[:, 1]


def _stem(path: bytes) -> str:
    pure = PurePath(path.decode("utf-8", "surrogateescape"))
    return f"{pure.parent.name}/{pure.stem}"
