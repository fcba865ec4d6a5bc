"""Scales for images with more than 8 bits: one for all images of a kind in a set, found from a part of them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TypeVar

from shapebias.core.errors import ShapebiasError
from shapebias.core.remote import is_url
from shapebias.precompute.images.decode import deep_kind, deep_range
from shapebias.precompute.images.depth import Range, Scale, choose_scale
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.image_set import ImageSet

_MAY_BE_DEEP = (b".png", b".tif", b".tiff", b".pgm", b".ppm", b".pnm", b".jp2", b".j2k", b".j2c", b".jpx", b".jpf")
_LOOKED_AT = 1000  # number of files whose headers are read
_READ = 128  # number of files of a kind whose values are read
_REMOTE = 32  # the same, of files on servers
T = TypeVar("T")


def with_scales(image_set: ImageSet) -> ImageSet:
    """Return the images with a scale for every kind of image files with more than 8 bits, and a note on each scale.

    The kinds and their ranges are found from some of the files, which are read; those that cannot be read are passed
    over. Sets without such files, and drawn images, are returned unchanged.
    """
    if image_set.read is not None:
        return image_set
    remote = is_url(os.fsdecode(image_set.prefix))
    candidates = [index for index, path in enumerate(image_set.paths) if path.lower().endswith(_MAY_BE_DEEP)]
    addresses = [image_set.address(index) for index in _some(candidates, _REMOTE if remote else _LOOKED_AT)]
    kinds = [_tried(deep_kind, address) for address in addresses]
    scales, notes = {}, []
    for kind in sorted({kind for kind in kinds if kind is not None}):
        of_kind = [address for address, own in zip(addresses, kinds, strict=True) if own == kind]
        tried = [_tried(deep_range, address) for address in _some(of_kind, _READ)]
        ranges = [values for values in tried if values is not None]
        if ranges:
            together = reduce(or_, ranges)
            scales[kind] = choose_scale(together, is_float=kind.startswith("float"))
            notes.append(_note(kind, scales[kind], together, len(ranges)))
    return replace(image_set, scales=scales, notes=[*image_set.notes, *notes]) if scales else image_set


def _note(kind: str, scale: Scale, values: Range, count: int) -> str:
    """Return a line about a kind's scale, which follows from the range `values` of `count` images."""
    images = "1 image" if count == 1 else f"{count:,} images"
    why = f"declared by {images}" if values.declared else f"the largest value of {images} is {values.high:,.6g}"
    return f"{kind}: {scale.text} becomes 0 to 255 ({why})"


def _some(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of some items, evenly spread."""
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _tried(read: Callable[[bytes], T], address: bytes) -> T | None:
    """Return the result of `read` for an image; None where the image cannot be used, which is reported when it is
    decoded.
    """
    try:
        return read(address)
    except (ImageError, ShapebiasError):
        return None
