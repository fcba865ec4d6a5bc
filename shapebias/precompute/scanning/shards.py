"""The parts of a scan's shards, kept in a folder until the store is complete."""

import contextlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import atomic_file
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import Skipped
from shapebias.precompute.parts import Part
from shapebias.precompute.scanning.scan import skipped_images


class Shards:
    """The parts of a scan's shards in a folder, one file each.

    `ranges` are the images of each shard, as indices among those of the scan. Iterating gives the part of every shard,
    in order, all of which must be there; an array is read, and its checksum (of the zip format) checked, when it is
    asked for. Raises ShapebiasError for a damaged part.
    """

    def __init__(self, folder: Path, ranges: list[range]) -> None:
        self.folder, self.ranges = folder, ranges

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def missing(self) -> list[int]:
        """Return the numbers of the shards whose parts are not in the folder: their indices in `ranges`."""
        return [number for number in range(len(self.ranges)) if not self._file(number).is_file()]

    def keep(self, number: int, part: Part) -> None:
        """Write the part of shard `number`, and only then give the file its name, so that no part is half written.

        Raises ShapebiasError where that fails.
        """
        with atomic_file(self._file(number)) as file:
            np.savez(file, **part)  # type: ignore[arg-type]  # its stubs know one keyword of their own

    def __iter__(self) -> "Iterator[KeptPart]":
        for number in range(len(self.ranges)):
            with KeptPart(self._file(number)) as part:
                yield part

    @property
    def skipped(self) -> list[Skipped]:
        """The images of all shards that could not be used, in order, read from the parts."""
        return [image for part in self for image in skipped_images(part)]

    def keep_all(self, parts: Iterable[tuple[int, Part]]) -> None:
        """Write pairs of a shard's number and its part, each in a thread while `parts` measures the next.

        Every part that `parts` yields is written, even where measuring the next one fails. Raises the errors of `parts`
        and ShapebiasError where a part cannot be written.
        """
        with ThreadPoolExecutor(1, "parts") as writer:
            written: Future[None] | None = None
            for number, part in parts:
                if written is not None:
                    written.result()
                written = writer.submit(self.keep, number, part)
            if written is not None:
                written.result()


class KeptPart(Mapping[str, NDArray[Any]]):
    """A part in a file, open within a `with` block, whose arrays are read when they are asked for.

    A damaged file is removed, and ShapebiasError says so.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> Self:
        with self._reading():
            self._arrays = np.load(self._file, allow_pickle=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._arrays.close()

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._arrays.files:
            raise KeyError(name)
        with self._reading():
            array: NDArray[Any] = self._arrays[name]
            return array

    def __contains__(self, name: object) -> bool:
        return name in self._arrays.files

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays.files)

    def __len__(self) -> int:
        return len(self._arrays.files)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, EOFError, ValueError, OSError) as error:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            name = printable(str(self._file), 200)
            raise ShapebiasError(f"{name} was damaged and is removed: give the same command again") from error
