"""Downloads files and checks them."""

import hashlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import cannot_write
from shapebias.core.text import printable
from shapebias.precompute.progress import Reporter

_MEGABYTE = 1_000_000  # bytes, the steps of the progress bar
_PATIENCE = 30  # seconds without a byte


def download(url: str, path: Path, *, md5: str, title: str, progress: Reporter) -> None:
    """Write the file at a URL to `path`, and tell `progress` of it under the name `title`, in megabytes.

    Raises ShapebiasError where the server cannot be reached, the file's MD5 is not `md5`, or `path` cannot be written;
    `path` may then hold a part of the file, or another file.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("wb") as file:
            for content in _contents(url, title, progress):
                digest.update(content)
                file.write(content)
    except OSError as error:
        raise cannot_write(path, error) from error
    check_md5(digest.hexdigest(), md5, url)


def _contents(url: str, title: str, progress: Reporter) -> Iterator[bytes]:
    """Yield the bytes at a URL in pieces, and tell `progress` of them in megabytes. Raises ShapebiasError."""
    try:
        answer = urlopen(url, timeout=_PATIENCE)
    except (OSError, HTTPException, ValueError) as error:
        raise ShapebiasError(f"{printable(url)} cannot be reached ({_reason(error)})") from error
    with answer:
        length = answer.headers.get("Content-Length", "")
        progress.stage(f"downloading {title}", int(length) // _MEGABYTE if length.isdecimal() else None, unit="MB")
        while content := _read(answer, url):
            yield content
            progress.advance(1)


def file_md5(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_md5(md5: str, wanted: str, name: str) -> None:
    """Raise ShapebiasError where `md5`, that of a file called `name` in the message, is not `wanted`."""
    if md5 != wanted:
        raise ShapebiasError(f"{printable(name)} is damaged, or another file (its MD5 is {md5}, not {wanted})")


def _read(answer: object, url: str) -> bytes:
    try:
        content: bytes = answer.read(_MEGABYTE)  # type: ignore[attr-defined]  # the results of urlopen have no common type
        return content
    except (OSError, HTTPException) as error:
        raise ShapebiasError(f"{printable(url)} broke off ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code}"
    return printable(str(getattr(error, "reason", error)) or type(error).__name__, 120)
