"""Files that are either the old one or the new one, whatever happens on the way."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable


class CannotWriteError(ShapebiasError):
    """A file cannot be written: the disk is full, the folder is somebody else's."""


def write_atomically(path: Path, content: bytes) -> None:
    """`content` becomes the file at `path`. Raises CannotWriteError; then `path` is as it was."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path`, in a folder that is made where there is none; after the block it is on the disk, then
    renamed there. Raises CannotWriteError; then `path` is as it was."""
    beside = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
        raise CannotWriteError(f"cannot write {printable(str(path))}: {reason}") from error


def sync_tree(folder: Path) -> None:
    """Returns when all in `folder` is on the disk, where a power cut takes nothing of it. Raises OSError."""
    with ThreadPoolExecutor(16) as pool:  # waits for the disk together: one by one takes four times as long
        list(pool.map(sync, [*folder.rglob("*"), folder]))


def sync(path: Path) -> None:
    """Returns when a file, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
