"""Which images a folder holds, and their labels."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapebias.core import imagenet
from shapebias.core.concepts import Concepts
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.decode import Geometry, fit_pixels, read_pixels
from shapebias.precompute.images.fetch import Members

EXTENSIONS = (b".jpg", b".jpeg", b".jpe", b".png", b".webp", b".bmp", b".gif", b".tif", b".tiff")


@dataclass(frozen=True)
class Skipped:
    """A file or folder left out: its path relative to the image set's root, and the reason on one line."""

    path: bytes
    reason: str


@dataclass
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
    class_ids: list[str]
    class_names: list[str]
    is_imagenet: bool
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
        """The images at some positions."""
        chosen = np.asarray(positions, np.int64)
        paths = [self.paths[index] for index in chosen.tolist()]
        members = None if self.members is None else self.members.take(chosen)
        return replace(self, paths=paths, labels=self.labels[chosen], members=members)

    def spread(self, limit: int) -> "ImageSet":
        """At most `limit` of the images, evenly spread over the listing."""
        if limit >= len(self):
            return self
        return self.take([index * len(self) // limit for index in range(limit)])

    def decoder(self, geometry: Geometry) -> Callable[[bytes], npt.NDArray[np.uint8]]:
        """From an image's path (with `prefix` before it), or place, to uint8 [crop, crop, 3] or `ImageError`."""
        if self.read is None:
            return partial(read_pixels, geometry=geometry)
        return partial(fit_pixels, read=self.read, geometry=geometry)


def list_images(root: Path) -> tuple[ImageSet, list[Skipped]]:
    """The images below `root` and the sub-folders that cannot be listed.

    A folder with images of its own is flat: sub-folders are searched too, and nothing has a label. Otherwise each of
    its folders that holds images, at whatever depth, is a class; when all of them are named by ImageNet WNIDs, labels
    are ImageNet's 0 to 999. Images are known by extension; hidden files and folders are ignored. Order: by class
    folder, then by path, as bytes. Raises `UsageError` if there is no such folder, or no image in it.
    """
    top = os.fsencode(root)
    files, folders = _list_root(root)
    skipped: list[Skipped] = []
    searched = [b""] if files else sorted(folders)
    paths = [path for folder in searched for path in _search(top, folder, skipped)]
    if not paths:
        unread = f"; {len(skipped)} of its folders cannot be listed" if skipped else ""
        raise no_images(root, unread)
    return image_set(root, paths, None if files else class_folders(paths)), skipped


def no_images(root: Path | str, more: str = "") -> UsageError:
    """What to raise then."""
    kinds = " ".join(extension.decode() for extension in EXTENSIONS)
    return UsageError(f"no images in {printable(os.fsencode(root))}: name a folder with files in {kinds}{more}")


def class_folders(paths: Sequence[bytes]) -> list[bytes] | None:
    """The first folder of every path; None where one of them has none."""
    if any(b"/" not in path for path in paths):
        return None
    return [path.partition(b"/")[0] for path in paths]


def shared_folder(paths: Iterable[bytes]) -> bytes:
    """The deepest folder that holds all paths, empty where there is none."""
    folders = [folder.split(b"/") for folder in {path.rpartition(b"/")[0] for path in paths}]
    first, last = min(folders), max(folders)
    differing = (depth for depth, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return b"/".join(first[: next(differing, min(len(first), len(last)))])


def in_order(paths: Sequence[bytes]) -> list[int]:
    """The positions of paths in the order that `list_images` gives them."""
    classes = class_folders(paths)
    if classes is None:
        return sorted(range(len(paths)), key=paths.__getitem__)
    return sorted(range(len(paths)), key=lambda index: (classes[index], paths[index]))


def image_set(
    root: Path | str, paths: list[bytes], classes: Sequence[bytes | None] | None, numbers: bool = False, **more: Any
) -> ImageSet:
    """An image set of paths with a class each, or none: ImageNet's where all are WNIDs (or, with `numbers`, the numbers
    0 to 999, all of them named), otherwise theirs in order. `more` are further fields."""
    named = {each for each in classes or () if each is not None}
    order = {os.fsencode(wnid): index for index, wnid in enumerate(imagenet.wnids())}
    if numbers and named and all(_is_number(each) for each in named):
        most = max(map(int, named)) + 1
        number: dict[bytes | None, int] = {each: int(each) for each in named}
        ids, is_imagenet = [str(index) for index in range(most)], most == len(named) == len(order)
    else:
        is_imagenet = bool(named) and named <= order.keys()
        number = {each: order[each] if is_imagenet else index for index, each in enumerate(sorted(named))}
        ids = [os.fsdecode(each) for each in sorted(named)]
    return ImageSet(
        root=root,
        paths=paths,
        labels=np.array([number.get(each, -1) for each in classes or [None] * len(paths)], np.int32),
        class_ids=list(imagenet.wnids()) if is_imagenet else ids,
        class_names=list(imagenet.class_names()) if is_imagenet else list(ids),
        is_imagenet=is_imagenet,
        **more,
    )


def _is_number(text: bytes) -> bool:
    return re.fullmatch(rb"[0-9]{1,6}", text) is not None


def _list_root(root: Path) -> tuple[list[bytes], list[bytes]]:
    shown = printable(os.fsencode(root))
    try:
        return _list(os.fsencode(root))
    except FileNotFoundError:
        raise UsageError(f"no folder {shown}: check the path of the images") from None
    except NotADirectoryError:
        raise UsageError(f"{shown} is a file: name the folder that holds the images") from None
    except OSError as error:
        raise ShapebiasError(f"cannot list {shown}: {_reason(error)}") from None


def _search(root: bytes, folder: bytes, skipped: list[Skipped]) -> list[bytes]:
    """The images at any depth below a folder (b"" is the root itself), sorted; each real folder is searched once."""
    images: list[bytes] = []
    waiting = [folder]
    searched = {_identity(root)} if folder else set()  # a link back to the root would bring in every other class
    while waiting:
        current = waiting.pop()
        full = root + b"/" + current
        try:
            identity = _identity(full)
            if identity in searched:
                continue
            searched.add(identity)
            files, folders = _list(full)
        except OSError as error:
            skipped.append(Skipped(current, f"cannot be listed: {_reason(error)}"))
            continue
        prefix = current + b"/" if current else b""
        images += [prefix + name for name in files]
        waiting += [prefix + name for name in sorted(folders, reverse=True)]
    return sorted(images)


def _list(folder: bytes) -> tuple[list[bytes], list[bytes]]:
    """The names of the images and of the folders in a folder, hidden ones left out."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(b"."):
                continue
            if _is_folder(entry):
                folders.append(name)
            elif name.lower().endswith(EXTENSIONS):
                files.append(name)
    return files, folders


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: a file that cannot be read
        return False


def _identity(folder: bytes) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116 (pathlib knows no bytes)
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "unknown error"
