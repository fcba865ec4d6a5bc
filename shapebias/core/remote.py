"""Files on servers by URL (`s3://bucket/photos`), with fsspec (the extra `remote`), imported only when there is
a URL.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://[^/]*[^:]", re.DOTALL)


def is_url(text: str) -> bool:
    """Return whether a text is a URL rather than a path."""
    return _URL.match(text) is not None


def local_path(store: str, done: str) -> Path:
    """Return the path of a store that must be on this machine. Raises UsageError for a URL.

    `done` says in the error message what is to be done with the store: a participle such as `verified`.
    """
    if is_url(store):
        raise UsageError(
            f"{printable(store)} is a URL, and a store can be {done} on this machine only: copy it here first"
        )
    return Path(store)


def filesystem(url: str) -> "tuple[AbstractFileSystem, str]":
    """Return the file system of a URL, and the path of the file or folder in it.

    Raises UsageError where fsspec or a package for the URL's protocol is missing, or where the URL cannot be handled.
    """
    name = printable(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UsageError(f"{name} needs fsspec: pip install 'shapebias[remote]'") from error
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"{name} needs a package ({_error_line(error)}); s3:// comes with pip install 'shapebias[remote]'"
        ) from error
    except Exception as error:  # each protocol raises errors of its own
        raise UsageError(f"{name} cannot be opened: {_error_line(error)}") from error
    return files, str(path)


def stamp(path: str, facts: Mapping[str, Any]) -> bytes:
    """Return a fingerprint of a file, which differs when the file has changed.

    It is made of the path, and of `facts`, what fsspec says about the file: size, and digest or else times.
    """
    digests = [str(facts[name]) for name in ("ETag", "etag", "md5Hash") if facts.get(name)]
    times = [str(facts.get(name)) for name in ("mtime", "LastModified", "last_modified", "updated", "created")]
    return ascii((path, facts.get("size"), digests or times)).encode() + b"\n"


def unreachable(url: str, error: Exception) -> ShapebiasError:
    """Return the error to raise where a server gave `error` instead of a file or listing; UsageError where it does not
    exist.
    """
    name = printable(url)
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{name} does not exist: check the URL")
    if isinstance(error, PermissionError):
        return ShapebiasError(f"{name} cannot be read: access denied: check the credentials ({_error_line(error)})")
    return ShapebiasError(f"{name} cannot be read: {_error_line(error)}")


def _error_line(error: Exception) -> str:
    text = str(error).strip()
    return printable(f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__, 160)
