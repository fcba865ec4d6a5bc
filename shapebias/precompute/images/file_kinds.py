"""The names of image files, and notes about the files that are left out."""

import os
from collections import Counter
from pathlib import Path

from PIL import features

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_JPEG_2000 = (b".jp2", b".j2k", b".j2c", b".jpc", b".jpx", b".jpf")
EXTENSIONS = (
    *(b".jpg", b".jpeg", b".jpe", b".jfif", b".png", b".webp", b".bmp", b".gif", b".tif", b".tiff"),
    *(b".ppm", b".pgm", b".pbm", b".pnm"),
    *((b".avif",) if features.check("avif") else ()),
    *(_JPEG_2000 if features.check("jpg_2000") else ()),
)
_READERS = {  # programs that read picture files which are left out
    **dict.fromkeys((".heic", ".heif", ".hif"), "pillow-heif reads them"),
    **dict.fromkeys((".avif", *map(bytes.decode, _JPEG_2000)), "a Pillow built with them reads them"),
    **dict.fromkeys((".svg", ".svgz"), "cairosvg draws them"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"), "rawpy reads them"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"), "ffmpeg takes frames of them"),
    **dict.fromkeys((".tga", ".ico", ".pcx", ".dds", ".sgi", ".icns", ".eps"), "Pillow converts them"),
    **dict.fromkeys((".npy", ".npz"), "numpy reads them"),
    **dict.fromkeys((".zip", ".rar", ".7z"), "unpack them"),
    ".jxl": "pillow-jxl-plugin reads them",
    ".exr": "OpenEXR reads them",
    ".hdr": "imageio reads them",
    ".psd": "psd-tools reads them",
    ".dcm": "pydicom reads them",
    ".nii": "nibabel reads them",
    ".pdf": "pdf2image draws them",
    ".mat": "scipy reads them",
    ".h5": "h5py reads them",
    ".hdf5": "h5py reads them",
    ".parquet": "pyarrow reads them",
    ".tfrecord": "tfrecord reads them",
    ".tar": "name them with --images",
    ".tgz": "unpack them",
}
_SHOWN = 12


def is_image_name(name: bytes) -> bool:
    """Return whether a file has the name of an image."""
    return name.lower().endswith(EXTENSIONS)


class LeftOut:
    """Counts the files of a source that are not used as images: hidden ones, and others by extension."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: bytes) -> None:
        """Count a file or folder by its name."""
        if name.startswith(b"."):
            self._counts["hidden"] += 1
        else:
            self._counts[printable(os.path.splitext(os.fsdecode(name))[1].lower(), 20)] += 1  # noqa: PTH122 (bytes)

    def add_companion(self) -> None:
        """Count a picture that belongs to another image, such as the mask in a WebDataset sample."""
        self._counts["companion pictures"] += 1

    def add_all(self, others: "LeftOut") -> None:
        """Add the counts of `others` to these."""
        self._counts.update(others._counts)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def text(self) -> str:
        """Return the counts as text, such as `3 .heic (pillow-heif reads them), 2 .txt, 1 hidden`."""
        counted = sorted(self._counts.items(), key=lambda item: (item[0] not in _READERS, -item[1], item[0]))
        words = [
            f"{count:,} {kind or 'without extension'}" + (f" ({_READERS[kind]})" if kind in _READERS else "")
            for kind, count in counted[:_SHOWN]
        ]
        rest = sum(count for _, count in counted[_SHOWN:])
        return ", ".join([*words, *([f"{rest:,} others"] if rest else [])])

    def notes(self) -> list[str]:
        """Return a note that counts the files left out, as a list of one line; empty where no file was left out."""
        return [f"files left out: {self.text()}"] if self else []


def no_images(root: Path | str, left_out: LeftOut, more: str = "") -> UsageError:
    """Return the error, to be raised, for a source `root` without images; `more` is appended to its text."""
    kinds = " ".join(extension.decode() for extension in EXTENSIONS)
    held = f" (it has {left_out.text()})" if left_out else ""
    return UsageError(f"no images in {printable(os.fsencode(root))}{held}: name a folder with files in {kinds}{more}")
