"""Reads CIFAR-10 and CIFAR-100 as published: arrays of pixels in pickled files (Krizhevsky 2009)."""

import codecs
import io
import pickle
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from shapebias.core.errors import ShapebiasError

_NAMES = {"batches.meta": "label_names", "meta": "fine_label_names"}  # key of the class names, by file
_SIDE = 32  # px


def cifar_images(archive: tarfile.TarFile) -> Iterator[tuple[str, str, bytes]]:
    """Yield split (train or test), path, and content of a PNG file of every image.

    A path is the class and the image's index in torchvision.datasets: `airplane/00003.png`. CIFAR-100's classes are the
    hundred fine ones. Raises ShapebiasError where the archive has other content.
    """
    files = {member.name.rpartition("/")[2]: member for member in archive if member.isreg()}
    try:
        names = next(_load(archive, files[file])[key] for file, key in _NAMES.items() if file in files)
        counts = {"train": 0, "test": 0}
        for file in sorted(name for name in files if name in ("train", "test") or "_batch" in name):
            split = "test" if file.startswith("test") else "train"
            batch = _load(archive, files[file])
            labels = batch["labels"] if "labels" in batch else batch["fine_labels"]
            pixels = np.asarray(batch["data"], np.uint8).reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
            for image, label in zip(pixels, labels, strict=True):
                yield split, f"{names[label]}/{counts[split]:05d}.png", _png(image)
                counts[split] += 1
    except (StopIteration, pickle.UnpicklingError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ShapebiasError("the archive does not hold CIFAR's images as they are published") from error


class _Unpickler(pickle.Unpickler):
    """Reads pickled lists, dicts, texts and arrays, and refuses anything else, which could run code."""

    _KNOWN = {  # noqa: RUF012 (never changed)
        "_reconstruct": np.zeros(0).__reduce__()[0],
        "ndarray": np.ndarray,
        "dtype": np.dtype,
        "encode": codecs.encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the function that rebuilds an array. Raises UnpicklingError for any other name."""
        if module.partition(".")[0] not in ("numpy", "_codecs") or name not in self._KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return self._KNOWN[name]


def _load(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    file = archive.extractfile(member)
    assert file is not None
    content: dict[str, Any] = _Unpickler(file, encoding="latin1").load()
    return content


def _png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, "PNG")
    return memory.getvalue()
