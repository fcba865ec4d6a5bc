"""A set of images with their labels, wherever they come from."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapebias.core import imagenet
from shapebias.core.concepts import Concepts
from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.decode import fit_pixels, read_pixels
from shapebias.precompute.images.fetch import Members
from shapebias.precompute.images.geometry import Geometry

EXTENSIONS = (b".jpg", b".jpeg", b".jpe", b".png", b".webp", b".bmp", b".gif", b".tif", b".tiff")


@dataclass(frozen=True)
class Skipped:
    """A file or folder left out: its path relative to the image set's root, and the reason on one line."""

    path: bytes
    reason: str


@dataclass(kw_only=True)
class ImageSet:
    """The images below a folder, in a fixed order. Names are untrusted: print them with `core.text.printable`.

    root:         the folder; str where it is none of this machine: a URL, or what tar files were named by
    paths:        relative to `root`, separated by `/`, as the file system has them (any bytes but NUL)
    labels:       int32 [images], an index into the class lists, -1 where an image has no label
    class_ids:    the class folders' names, bytes that are not UTF-8 as surrogates; for ImageNet its 1000 WNIDs
    class_names:  what to call the classes: the folders' names, or ImageNet's class names
    read:         from a path (with `root` before it) to pixels uint8 [H, W, 3], or `ImageError`, for images that are
                  no files; worker processes import it. None: files
    mask:         likewise, to uint8 [H, W], 255 where the image shows an object. None: a file's opacity
    annotate:     likewise, to uint8 [categories, H, W]: what each pixel shows, 0 or the number of one of `concepts`
    members:      where the images are in tar files
    stamp:        changes with the files where they are not of this machine, or in tar files
    """

    root: Path | str
    paths: list[bytes]
    labels: npt.NDArray[np.int32]
    class_ids: list[str] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)
    read: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    mask: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    annotate: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    concepts: Concepts | None = None
    members: Members | None = None
    stamp: bytes = b""

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def prefix(self) -> bytes:
        """What comes before a path and its `/`, wherever this process goes."""
        return os.fsencode(self.root if isinstance(self.root, str) else self.root.absolute())

    def take(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> "ImageSet":
        """Return the images at some positions."""
        chosen = np.asarray(positions, np.int64)
        paths = [self.paths[index] for index in chosen.tolist()]
        members = None if self.members is None else self.members.take(chosen)
        return replace(self, paths=paths, labels=self.labels[chosen], members=members)

    def spread(self, limit: int) -> "ImageSet":
        """Return at most `limit` of the images, evenly spread over the listing."""
        if limit >= len(self):
            return self
        return self.take([index * len(self) // limit for index in range(limit)])

    def decoder(self, geometry: Geometry) -> Callable[[bytes], npt.NDArray[np.uint8]]:
        """Return a function from an image's path (with `prefix` before it), or its address, to uint8 [crop, crop, 3] or
        `ImageError`."""
        if self.read is None:
            return partial(read_pixels, geometry=geometry)
        return partial(fit_pixels, read=self.read, geometry=geometry)


def image_keys(paths: Iterable[bytes], seed: int) -> npt.NDArray[np.int64]:
    """Return a number of every image, int64 [images], that looks random and follows from its path and the seed: it is
    the same wherever the image is listed."""
    person = f"{seed}".encode()[:16]
    digests = b"".join(hashlib.blake2b(path, digest_size=8, person=person).digest() for path in paths)
    return np.frombuffer(digests, "<i8").astype(np.int64)


def no_images(root: Path | str, more: str = "") -> UsageError:
    """Return the error to raise where `root` holds no images; `more` is added to its text."""
    kinds = " ".join(extension.decode() for extension in EXTENSIONS)
    return UsageError(f"no images in {printable(os.fsencode(root))}: name a folder with files in {kinds}{more}")


def class_folders(paths: Sequence[bytes]) -> list[bytes] | None:
    """Return the first folder of every path; None where one of them has none."""
    if any(b"/" not in path for path in paths):
        return None
    return [path.partition(b"/")[0] for path in paths]


def shared_folder(paths: Iterable[bytes]) -> bytes:
    """Return the deepest folder that holds all paths, empty where there is none."""
    folders = [folder.split(b"/") for folder in {path.rpartition(b"/")[0] for path in paths}]
    first, last = min(folders), max(folders)
    differing = (depth for depth, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return b"/".join(first[: next(differing, min(len(first), len(last)))])


def in_order(paths: Sequence[bytes]) -> list[int]:
    """Return the positions of paths in the order that `list_images` gives them."""
    classes = class_folders(paths)
    if classes is None:
        return sorted(range(len(paths)), key=paths.__getitem__)
    return sorted(range(len(paths)), key=lambda index: (classes[index], paths[index]))


def make_image_set(
    root: Path | str, paths: list[bytes], classes: Sequence[bytes | None] | None, *, numbers: bool = False, **more: Any
) -> ImageSet:
    """Return an image set of paths with a class each, or none: ImageNet's where all are WNIDs (or, with `numbers`, the
    numbers 0 to 999, all of them named), otherwise theirs in order. `more` are further fields."""
    named = {name for name in classes or () if name is not None}
    order = {os.fsencode(wnid): index for index, wnid in enumerate(imagenet.wnids())}
    if numbers and named and all(_is_number(name) for name in named):
        most = max(map(int, named)) + 1
        number: dict[bytes | None, int] = {name: int(name) for name in named}
        ids, is_imagenet = [str(index) for index in range(most)], most == len(named) == len(order)
    else:
        is_imagenet = bool(named) and named <= order.keys()
        number = {name: order[name] if is_imagenet else index for index, name in enumerate(sorted(named))}
        ids = [os.fsdecode(name) for name in sorted(named)]
    return ImageSet(
        root=root,
        paths=paths,
        labels=np.array([number.get(name, -1) for name in classes or [None] * len(paths)], np.int32),
        class_ids=list(imagenet.wnids()) if is_imagenet else ids,
        class_names=list(imagenet.class_names()) if is_imagenet else list(ids),
        **more,
    )


def _is_number(text: bytes) -> bool:
    return re.fullmatch(rb"[0-9]{1,6}", text) is not None
