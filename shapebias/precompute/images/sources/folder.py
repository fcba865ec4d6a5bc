"""Which images a folder holds, and their labels."""

import os
from pathlib import Path

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import (
    EXTENSIONS,
    ImageSet,
    Skipped,
    class_folders,
    make_image_set,
    no_images,
)


def list_images(root: Path) -> tuple[ImageSet, list[Skipped]]:
    """Return the images below `root` and the sub-folders that cannot be listed.

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
    return make_image_set(root, paths, None if files else class_folders(paths)), skipped


def _list_root(root: Path) -> tuple[list[bytes], list[bytes]]:
    root_text = printable(os.fsencode(root))
    try:
        return _list(os.fsencode(root))
    except FileNotFoundError:
        raise UsageError(f"no folder {root_text}: check the path of the images") from None
    except NotADirectoryError:
        raise UsageError(f"{root_text} is a file: name the folder that holds the images") from None
    except OSError as error:
        raise ShapebiasError(f"cannot list {root_text}: {_reason(error)}") from None


def _search(root: bytes, folder: bytes, skipped: list[Skipped]) -> list[bytes]:
    """Return the images at any depth below a folder (b"" is the root itself), sorted; each real folder is searched
    once."""
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
    """Return the names of the images and of the folders in a folder, hidden ones left out."""
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
