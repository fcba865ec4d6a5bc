"""The files of a store on this machine: in a folder, or in a zip."""

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Which files a store has: zarr reads a chunk whose file is missing as fill values."""

    def has(self, name: str) -> bool:
        """Return whether there is a file."""

    def count(self, folder: str) -> int:
        """Return how many files with something in them are below a folder."""


class FolderFiles:
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def count(self, folder: str) -> int:
        files = (file for file in (self._folder / folder).rglob("*") if file.is_file())
        return sum(file.stat().st_size > 0 for file in files)


class ZippedFiles:
    """The files of a store in a zip: at its top, or in its one folder, `prefix`."""

    def __init__(self, path: Path) -> None:
        """Raises zipfile.BadZipFile or OSError where the zip cannot be read."""
        with zipfile.ZipFile(path) as archive:
            self._sizes = {member.filename: member.file_size for member in archive.infolist() if not member.is_dir()}

    @cached_property
    def prefix(self) -> str:
        """The folder of the store in the zip, with a slash; empty at the top. A zip without a store gives its top."""
        roots = [name.removesuffix("zarr.json") for name in self._sizes if name.endswith("zarr.json")]
        return min(roots, key=len, default="")

    def has(self, name: str) -> bool:
        return f"{self.prefix}{name}" in self._sizes

    def count(self, folder: str) -> int:
        start = f"{self.prefix}{folder}/"
        return sum(size > 0 for name, size in self._sizes.items() if name.startswith(start))
