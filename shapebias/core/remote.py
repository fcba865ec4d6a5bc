"""Files on servers, by URL (`s3://bucket/photos`): fsspec (the extra `remote`), imported when there is a URL."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://[^/]*[^:]", re.DOTALL)


def is_url(text: str) -> bool:
    """Whether a name is a URL, not a path."""
    return _URL.match(text) is not None


def filesystem(url: str) -> "tuple[AbstractFileSystem, str]":
    """The file system of a URL, and what the file or folder is called there. Raises UsageError where it has none."""
    shown = printable(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UsageError(f"{shown} needs fsspec: pip install 'shapebias[remote]'") from error
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"{shown} needs a package ({_line(error)}); s3:// comes with pip install 'shapebias[remote]'"
        ) from error
    except Exception as error:  # each protocol has its own
        raise UsageError(f"{shown} cannot be opened: {_line(error)}") from error
    return files, str(path)


def stamp(path: str, facts: Mapping[str, Any]) -> bytes:
    """What tells that a file changed, from what its file system says of it."""
    known = [str(facts.get(name)) for name in ("size", "ETag", "etag", "mtime", "LastModified", "created")]
    return ascii((path, known)).encode() + b"\n"


def unreachable(url: str, error: Exception) -> ShapebiasError:
    """What to raise where a server gave `error` instead of a file or listing."""
    shown = printable(url)
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{shown} does not exist: check the URL")
    if isinstance(error, PermissionError):
        return ShapebiasError(f"{shown} cannot be read: access denied: check the credentials ({_line(error)})")
    return ShapebiasError(f"{shown} cannot be read: {_line(error)}")


def _line(error: Exception) -> str:
    text = str(error).strip()
    return printable(f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__, 160)
