"""Keeps drawn images in files, so that a run draws each of them once for all its passes and processes."""

import contextlib
import os
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from shapebias.precompute.images.builtin.drawing import (
    SIZE,
    Drawing,
    annotate_path,
    draw,
    draw_path,
    draw_silhouette,
    parse_path,
)
from shapebias.precompute.images.image_set import ImageSet

_MAPS = tuple(field.name for field in fields(Drawing) if field.name != "pixels")
_SHAPE = (3 + len(_MAPS), SIZE, SIZE)  # in a file: the channels of the pixels, then the maps


def keep_drawings(image_set: ImageSet, folder: Path) -> ImageSet:
    """Return a set of built-in images that keeps each drawn image in a folder; other sets are returned unchanged.

    The folder must exist and belong to this run alone, since its files are trusted.
    """
    if image_set.read is not draw_path:
        return image_set
    drawn = partial(read_or_draw, folder=folder)
    return replace(
        image_set,
        read=partial(draw_path, drawn=drawn),
        mask=partial(draw_silhouette, drawn=drawn),
        annotate=partial(annotate_path, drawn=drawn),
    )


def read_or_draw(path: bytes, folder: Path) -> Drawing:
    """Return the built-in image with this path from `folder`, or a newly drawn one, which is stored there if possible.

    Raises `ImageError` for a path that is not of a built-in image.
    """
    identity = parse_path(path)
    file = folder / "-".join(map(str, identity))
    with contextlib.suppress(OSError, ValueError):  # it is not there
        planes = np.fromfile(file, np.uint8).reshape(_SHAPE)
        pixels = np.ascontiguousarray(planes[:3].transpose(1, 2, 0))
        return Drawing(pixels=pixels, **dict(zip(_MAPS, planes[3:], strict=True)))
    drawing = draw(*identity)
    arrays = [*drawing.pixels.transpose(2, 0, 1), *(getattr(drawing, name) for name in _MAPS)]
    with contextlib.suppress(OSError):  # a full disk: it is drawn again
        part = file.with_name(f"{file.name}.{os.getpid()}")
        np.stack(arrays).tofile(part)
        part.replace(file)
    return drawing
