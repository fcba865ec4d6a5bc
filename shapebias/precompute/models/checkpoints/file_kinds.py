"""Recognises files that are not checkpoints, such as failed downloads and weights of other libraries."""

import re
import zipfile
from pathlib import Path

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

_HTML = re.compile(rb"\s*(<!doctype html|<html|<\?xml|<head|<!--)", re.IGNORECASE)
_BEGINNINGS = (  # the first bytes of files without PyTorch weights, and the message about them
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: run `git lfs pull` where it came from"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file (TensorFlow or Keras), not a PyTorch checkpoint: convert it first"),
    (b"\x93NUMPY", "is a NumPy array, not a PyTorch checkpoint"),
    (b"\x1f\x8b", "is compressed (gzip): unpack it first"),
    (b"BZh", "is compressed (bzip2): unpack it first"),
    (b"\xfd7zXZ", "is compressed (xz): unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd): unpack it first"),
    (b"7z\xbc\xaf", "is compressed (7z): unpack it first"),
    (b"Rar!", "is compressed (rar): unpack it first"),
    (b"\xff\xd8\xff", "is a JPEG picture"),
    (b"\x89PNG", "is a PNG picture"),
)
_LEVELDB_END = bytes.fromhex("57fb808b247547db")  # the index of a TensorFlow checkpoint is a LevelDB table
_TENSORFLOW_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
_TENSORFLOW = "is a TensorFlow {} file, not a PyTorch checkpoint: convert it first"


def is_safetensors(path: Path) -> bool:
    """Return whether a file's content is safetensors: the length of a JSON header, then the header. Raises OSError."""
    with path.open("rb") as file:
        length, brace = file.read(8), file.read(1)
    return brace == b"{" and int.from_bytes(length, "little") < 100_000_000


def is_numpy_archive(path: Path) -> bool:
    """Return whether a file's content is NumPy's .npz: a zip with arrays only. Raises OSError and BadZipFile."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def check_kind(path: Path) -> None:
    """Check that a file may hold weights.

    Raises UsageError for a folder and for a file that does not exist. Raises ShapebiasError for a file that cannot be
    read, and for one that holds no weights of PyTorch: the text says what it is.
    """
    path_text = printable(str(path))
    if path.is_dir():
        model = (path / "saved_model.pb").exists()
        what = "a TensorFlow SavedModel, not a PyTorch checkpoint" if model else "a folder: name the file in it"
        raise UsageError(f"the checkpoint {path_text} is {what}")
    if not path.exists():
        raise UsageError(f"the checkpoint {path_text} does not exist")
    try:
        reason = _what(path)
    except zipfile.BadZipFile:
        reason = "is a damaged zip: download it again"
    except OSError as error:
        raise ShapebiasError(f"the checkpoint {path_text} cannot be read: {printable(str(error.strerror))}") from error
    if reason:
        raise ShapebiasError(f"the checkpoint {path_text} {reason}")


def _what(path: Path) -> str:
    """Return what the file is, to follow its name: `is a JPEG picture`; empty where it may be a checkpoint."""
    size = path.stat().st_size
    if size == 0:
        return "is empty: download it again"
    with path.open("rb") as file:
        start = file.read(1024)
        file.seek(max(0, size - 8))
        end = file.read(8)
    if _HTML.match(start.removeprefix(b"\xef\xbb\xbf")):
        return "is a web page (HTML), not weights: the download failed; open the address in a browser to see why"
    for beginning, reason in _BEGINNINGS:
        if start.startswith(beginning):
            return reason
    if start.startswith(b"PK\x03\x04"):
        return _what_zip(path, size)
    if start[257:262] == b"ustar":
        return "is a tar archive: unpack it first"
    return _what_tensorflow(path, start, end) or _what_text(start)


def _what_zip(path: Path, size: int) -> str:
    if not zipfile.is_zipfile(path):
        return f"is a zip that is cut off after {size:,} bytes: download it again"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("constants.pkl") for name in names):
        return "is a TorchScript archive, which holds code: save the network's state_dict() instead"
    if any(name.endswith("data.pkl") for name in names):
        return ""
    if "model.weights.h5" in names:
        return "is a Keras file, not a PyTorch checkpoint: convert it first"
    if any(name.endswith(".npy") for name in names):
        return ""
    return f"is a zip of {len(names)} files, not a PyTorch checkpoint: unpack it first"


def _what_tensorflow(path: Path, start: bytes, end: bytes) -> str:
    if start[4:8] == b"TFL3":
        return _TENSORFLOW.format("Lite")
    if end == _LEVELDB_END or _TENSORFLOW_DATA.search(path.name):
        return _TENSORFLOW.format("checkpoint")
    if path.suffix == ".pb":
        return _TENSORFLOW.format("graph")
    if path.suffix == ".onnx":
        return "is an ONNX file, not a PyTorch checkpoint"
    return ""


def _what_text(start: bytes) -> str:
    text = start[:200].decode("utf-8", "ignore").strip()
    if (
        b"\x00" in start
        or not text
        or not "".join(text.split()).isprintable()
        or len(text.encode()) < len(start[:200]) - 8
    ):
        return ""
    return f"is a text that begins with `{printable(text.splitlines()[0], 40)}`, not weights"
