"""Files that are either the old one or the new one, whatever happens on the way."""

import contextlib
import os
from pathlib import Path

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` beside `path`, to the disk, then renames it there.

    Raises ShapebiasError; then `path` is as it was.
    """
    beside = path.with_name(f"{path.name}.partial")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
        raise ShapebiasError(f"cannot write {printable(str(path))}: {reason}") from error
