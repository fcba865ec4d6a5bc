"""Writing files completely or not at all, and the user's state folder."""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable


class CannotWriteError(ShapebiasError):
    """A file cannot be written, for instance because the disk is full or the folder is another user's."""


def cannot_write(path: Path, error: OSError) -> CannotWriteError:
    """Return the error for a file that the user named and that cannot be written."""
    return CannotWriteError(f"{printable(str(path))} cannot be written: {error.strerror}")


def write_text(path: Path, text: str) -> None:
    """Write a text file that the user named. Raises CannotWriteError where that fails."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to the file at `path`. Raises CannotWriteError where that fails; then `path` is unchanged."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary binary file beside `path`, whose folder is created if needed.

    After the `with` block the file is synced to the disk and renamed to `path`. Raises CannotWriteError where that
    fails or the block raises OSError; then, as after any error in the block, `path` is unchanged.
    """
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


@dataclass(frozen=True)
class Size:
    """The size of a folder: number of files, sum of their bytes, and bytes of the disk blocks that they occupy."""

    files: int
    bytes: int
    disk_bytes: int

    @classmethod
    def of(cls, folder: Path) -> "Size":
        """Return the size of all files in a folder and its subfolders. Raises OSError where a file cannot be asked."""
        facts = [file.stat() for file in folder.rglob("*") if file.is_file()]
        return cls(len(facts), sum(fact.st_size for fact in facts), sum(512 * fact.st_blocks for fact in facts))

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:.1f} MB in {self.files:,} files, {self.disk_bytes / 1e6:.1f} MB on the disk"


def sync_tree(folder: Path) -> None:
    """Write everything in `folder` through to the disk, so that a power cut does not lose it. Raises OSError."""
    from concurrent.futures import ThreadPoolExecutor  # imported here, since every command imports this module

    # Threads wait for the disk at the same time: syncing one file after the other takes four times as long.
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(sync, [*folder.rglob("*"), folder]))


def sync(path: Path) -> None:
    """Write a file, or the names in a folder, through to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def state_folder() -> Path:
    """Return `$XDG_STATE_HOME/shapebias`, or else the system's folder for state (`~/.local/state/shapebias`).

    The folder may not exist.
    """
    from platformdirs import user_state_path

    return user_state_path("shapebias")


def cache_folder() -> Path:
    """Return `$XDG_CACHE_HOME/shapebias`, else what the system has for it (`~/.cache/shapebias`); it may not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("shapebias")


def read_state(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None where there is no file. Raises ShapebiasError where it cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ShapebiasError(f"cannot read {printable(str(path))}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise damaged_state(path) from error
    if not isinstance(content, dict):
        raise damaged_state(path)
    return content


def write_state(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object completely or not at all; creates the folder. Raises ShapebiasError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShapebiasError(f"cannot make {printable(str(path.parent))}: {error.strerror}") from error
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode("ascii"))


def damaged_state(path: Path) -> ShapebiasError:
    """Return the error for a file in the state folder with invalid content."""
    return ShapebiasError(f"{printable(str(path))} is damaged: move it away")
