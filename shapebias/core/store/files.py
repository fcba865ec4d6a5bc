"""The names and sizes of the files of a store on this machine: in a folder, or in a zip."""

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Tells which files a store has. It is needed since zarr reads a chunk whose file is missing as fill values."""

    def has(self, name: str) -> bool:
        """Return whether the store has a file of this name."""

    def count(self, folder: str) -> int:
        """Return how many non-empty files are below a folder."""


class FolderFiles:
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether the store has a file of this name."""
        return (self._folder / name).is_file()

    def count(self, folder: str) -> int:
        """Return how many non-empty files are below a folder."""
        files = (file for file in (self._folder / folder).rglob("*") if file.is_file())
        return sum(file.stat().st_size > 0 for file in files)


class ZippedFiles:
    """The files of a store in a zip. The store is at the top of the zip, or in its only folder, `prefix`."""

    def __init__(self, path: Path) -> None:
        """Read the zip's directory. Raises zipfile.BadZipFile or OSError where the zip cannot be read."""
        with zipfile.ZipFile(path) as archive:
            self._sizes = {member.filename: member.file_size for member in archive.infolist() if not member.is_dir()}

    @cached_property
    def prefix(self) -> str:
        """The folder of the store in the zip, with a slash at the end; empty where the zip has the store at its top, or
        no store.
        """
        roots = [name.removesuffix("zarr.json") for name in self._sizes if name.endswith("zarr.json")]
        return min(roots, key=len, default="")

    def has(self, name: str) -> bool:
        """Return whether the store has a file of this name."""
        return f"{self.prefix}{name}" in self._sizes

    def count(self, folder: str) -> int:
        """Return how many non-empty files are below a folder."""
        start = f"{self.prefix}{folder}/"
        return sum(size > 0 for name, size in self._sizes.items() if name.startswith(start))
