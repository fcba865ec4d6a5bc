"""Which images a folder holds, and their labels."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shapebias.core import imagenet
from shapebias.core.concepts import Concepts
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

EXTENSIONS = (b".jpg", b".jpeg", b".jpe", b".png", b".webp", b".bmp", b".gif", b".tif", b".tiff")


@dataclass(frozen=True)
class Skipped:
    """A file or folder left out: its path relative to the image set's root, and the reason on one line."""

    path: bytes
    reason: str


@dataclass
class ImageSet:
    """The images below a folder, in a fixed order. Names are untrusted: print them with `core.text.printable`.

    paths:        relative to `root`, separated by `/`, as the file system has them (any bytes but NUL)
    labels:       int32 [images], an index into the class lists, -1 where an image has no label
    class_ids:    the class folders' names, bytes that are not UTF-8 as surrogates; for ImageNet its 1000 WNIDs
    class_names:  what to call the classes: the folders' names, or ImageNet's class names
    read:         from a path (with `root` before it) to pixels uint8 [H, W, 3], or `ImageError`, for images that are
                  no files; worker processes import it. None: files
    mask:         likewise, to uint8 [H, W], 255 where the image shows an object. None: a file's opacity
    annotate:     likewise, to uint8 [categories, H, W]: what each pixel shows, 0 or the number of one of `concepts`
    """

    root: Path
    paths: list[bytes]
    labels: npt.NDArray[np.int32]
    class_ids: list[str]
    class_names: list[str]
    is_imagenet: bool
    read: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    mask: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    annotate: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    concepts: Concepts | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def spread(self, limit: int) -> "ImageSet":
        """At most `limit` of the images, evenly spread over the listing."""
        if limit >= len(self):
            return self
        chosen = [index * len(self) // limit for index in range(limit)]
        return replace(self, paths=[self.paths[index] for index in chosen], labels=self.labels[chosen])


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
    classes: list[tuple[bytes, list[bytes]]] = []
    if files:
        paths = _search(top, b"", skipped)
    else:
        found = ((name, _search(top, name, skipped)) for name in sorted(folders))
        classes = [(name, images) for name, images in found if images]
        paths = [path for _, images in classes for path in images]
    if not paths:
        unread = f"; {len(skipped)} of its folders cannot be listed" if skipped else ""
        kinds = " ".join(extension.decode() for extension in EXTENSIONS)
        raise UsageError(f"no images in {printable(top)}: name a folder with files in {kinds}{unread}")

    names = [os.fsdecode(name) for name, _ in classes]
    wnids = {wnid: index for index, wnid in enumerate(imagenet.wnids())}
    is_imagenet = bool(names) and all(name in wnids for name in names)
    if files:
        labels = np.full(len(paths), -1, np.int32)
    else:
        numbers = [wnids[name] if is_imagenet else index for index, name in enumerate(names)]
        labels = np.repeat(np.array(numbers, np.int32), [len(images) for _, images in classes])
    return (
        ImageSet(
            root=root,
            paths=paths,
            labels=labels,
            class_ids=list(wnids) if is_imagenet else names,
            class_names=list(imagenet.class_names()) if is_imagenet else list(names),
            is_imagenet=is_imagenet,
        ),
        skipped,
    )


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
