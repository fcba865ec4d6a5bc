"""The names and sizes of the files of a store on this machine: in a folder, or in a zip."""

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Tells which files a store has. It is needed since zarr reads a chunk whose file is missing as fill values.

    Paths are those in the store, such as `images/probe/zarr.json`.
    """

    def has(self, name: str) -> bool:
        """Return whether the store has a file at this path."""

    def count(self, folder: str) -> int:
        """Return how many non-empty files are in a folder and its subfolders; 0 where there is no such folder."""


class FolderFiles:
    """The files of a store that is a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether the store has a file at this path."""
        return (self._folder / name).is_file()

    def count(self, folder: str) -> int:
        """Return how many non-empty files are in a folder of the store and its subfolders."""
        files = (file for file in (self._folder / folder).rglob("*") if file.is_file())
        return sum(file.stat().st_size > 0 for file in files)


class ZippedFiles:
    """The files of a store in a zip. The store is at the top of the zip, or in the folder `prefix`."""

    def __init__(self, path: Path) -> None:
        """Read the zip's directory. Raises zipfile.BadZipFile or OSError where the zip cannot be read."""
        with zipfile.ZipFile(path) as archive:
            self._sizes = {member.filename: member.file_size for member in archive.infolist() if not member.is_dir()}

    @cached_property
    def prefix(self) -> str:
        """The folder of the store in the zip, with a slash at the end: that with the shortest path to a `zarr.json`.

        Empty where the store is at the top of the zip, or where there is none.
        """
        roots = [name.removesuffix("zarr.json") for name in self._sizes if name.endswith("zarr.json")]
        return min(roots, key=len, default="")

    def has(self, name: str) -> bool:
        """Return whether the store has a file at this path."""
        return f"{self.prefix}{name}" in self._sizes

    def count(self, folder: str) -> int:
        """Return how many non-empty files are in a folder of the store and its subfolders."""
        start = f"{self.prefix}{folder}/"
        return sum(size > 0 for name, size in self._sizes.items() if name.startswith(start))
