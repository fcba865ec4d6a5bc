"""Labels from a file beside the images, whose lines contain an image and its class."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.labels import label_images
from shapebias.precompute.images.sources.labelled_lines import Line, parse_any_line, parse_lines


def label_by_file(image_set: ImageSet, file: Path) -> ImageSet:
    """Return the images with the labels of a file, in place of those of their folders.

    A line names an image by its path below the images' root; or by its file's name, with or without extension, where
    only one image and one line have that name. Images that no line names have no label. They, and lines that name no
    image, are counted in the set's notes. Raises UsageError where the file cannot be read, holds no labels, or names
    none of the images.
    """
    text = printable(str(file))
    lines = _read(file)
    names: list[bytes | None] = [None] * len(image_set)
    used = 0
    for key in (_path, _base, _stem):
        lines_with = Counter(key(path) for path, _ in lines)
        label_of = {key(path): label for path, label in lines if lines_with[key(path)] == 1}
        times = Counter(map(key, image_set.paths))
        for index, path in enumerate(image_set.paths):
            if names[index] is None and times[key(path)] == 1 and (label := label_of.get(key(path))) is not None:
                names[index] = label
                used += 1
    if not used:
        raise UsageError(
            f"{text} names none of the images: its lines name such as {printable(lines[0][0], 60)}, and images are "
            f"such as {printable(image_set.paths[0], 60)}"
        )
    labels = label_images(names)
    notes = [
        *([f"images that {text} does not name: {len(names) - used:,}"] if used < len(names) else []),
        *([f"lines of {text} that name no image: {len(lines) - used:,}"] if used < len(lines) else []),
    ]
    return replace(
        image_set,
        labels=labels.labels,
        class_ids=labels.class_ids,
        class_names=labels.class_names,
        source_names=labels.source_names,
        notes=[*image_set.notes, *notes],
    )


def _read(file: Path) -> list[Line]:
    """Return the path and the class of each line of a file of labels that has both.

    Raises UsageError where the file cannot be read or holds no such line.
    """
    text = printable(str(file))
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise UsageError(f"the labels in {text} cannot be read: {reason}") from error
    parsed = [line if line[1] is not None else parse_any_line(line[0]) for line in parse_lines(content, text)]
    lines = [line for line in parsed if line[1] is not None]
    if not lines or b"\0" in content:
        raise UsageError(f"{text} holds no labels: write lines PATH CLASS, or a table with the columns path and label")
    return lines


def _path(path: bytes) -> bytes:
    return path.removeprefix(b"./")


def _base(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _stem(path: bytes) -> bytes:
    base = _base(path)
    return base.rpartition(b".")[0] or base
