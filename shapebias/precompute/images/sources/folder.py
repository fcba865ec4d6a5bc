"""Lists the images of a folder with their labels."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.file_kinds import LeftOut, is_image_name, no_images
from shapebias.precompute.images.image_set import ImageSet, Skipped, image_set_by_folder

Identity = tuple[int, int]  # device and inode of a folder


def list_images(root: Path) -> tuple[ImageSet, list[Skipped]]:
    """Return the images at any depth below the folder `root`, and a list of what was skipped.

    Two things are skipped: sub-folders that cannot be listed, and images that lie beside the class folders. Images are
    recognised by their extension. Other files and hidden ones are only counted, in the set's notes. The class of an
    image follows from its folder: see `labels.name_by_folder`. The images are sorted by class, then by path, as bytes.

    Raises UsageError where there is no such folder, where no image is in it, or where it holds the splits of a data
    set, and ShapebiasError where the folder cannot be listed.
    """
    left_out = LeftOut()
    files, folders = _list_root(root, left_out)
    skipped: list[Skipped] = []
    known = _identities(root, [b"", *folders])  # a link back to them would bring in every other class
    paths = files + [path for folder in sorted(folders) for path in _search(root, folder, known, skipped, left_out)]
    if not paths:
        unread = f"; {len(skipped)} of its folders cannot be listed" if skipped else ""
        raise no_images(root, left_out, unread)
    image_set, stray = image_set_by_folder(root, paths, os.fspath(root), notes=left_out.notes())
    return image_set, [*skipped, *stray]


def _list_root(root: Path, left_out: LeftOut) -> tuple[list[bytes], list[bytes]]:
    root_text = printable(os.fsencode(root))
    try:
        return _list(os.fsencode(root), left_out)
    except FileNotFoundError:
        raise UsageError(f"no folder {root_text}: check the path of the images") from None
    except NotADirectoryError:
        raise UsageError(f"{root_text} is a file: name the folder that holds the images") from None
    except OSError as error:
        raise ShapebiasError(f"cannot list {root_text}: {_reason(error)}") from None


def _search(root: Path, top: bytes, known: set[Identity], skipped: list[Skipped], left_out: LeftOut) -> list[bytes]:
    """Return the paths, relative to `root`, of the images at any depth below `top`, a folder of the root.

    A folder to which several links lead is searched once, and those in `known` are not searched. Folders that cannot
    be listed are appended to `skipped`; other files are counted in `left_out`.
    """
    images: list[bytes] = []
    waiting = [top]
    searched = known - _identities(root, [top])
    while waiting:
        current = waiting.pop()
        full = os.fsencode(root) + b"/" + current
        try:
            identity = _identity(full)
            if identity in searched:
                continue
            searched.add(identity)
            files, folders = _list(full, left_out)
        except OSError as error:
            skipped.append(Skipped(current, f"cannot be listed: {_reason(error)}"))
            continue
        images += [current + b"/" + name for name in files]
        waiting += [current + b"/" + name for name in sorted(folders, reverse=True)]
    return images


def _list(folder: bytes, left_out: LeftOut) -> tuple[list[bytes], list[bytes]]:
    """Return the names of the images and of the sub-folders directly in a folder; what else is there is counted.

    Hidden files and folders, and files that are no images, are added to `left_out`. Raises OSError where the folder
    cannot be listed.
    """
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(b"."):
                left_out.add(name)
            elif _is_folder(entry):
                folders.append(name)
            elif is_image_name(name):
                files.append(name)
            else:
                left_out.add(name)
    return files, folders


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: a file that cannot be read
        return False


def _identity(folder: bytes) -> Identity:
    status = os.stat(folder)  # noqa: PTH116 (pathlib knows no bytes)
    return status.st_dev, status.st_ino


def _identities(root: Path, folders: Sequence[bytes]) -> set[Identity]:
    """Return the identities of folders, by their paths below the root; those that cannot be found out are left out."""
    identities = set()
    for folder in folders:
        with suppress(OSError):
            identities.add(_identity(os.fsencode(root) + b"/" + folder))
    return identities


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "unknown error"
