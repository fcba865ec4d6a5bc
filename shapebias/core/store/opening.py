"""Opens stores: a folder, or a URL."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import zarr

from shapebias.core.errors import ShapebiasError
from shapebias.core.remote import is_url
from shapebias.core.store import schema
from shapebias.core.store.reader import Store, StoreError, shown
from shapebias.core.text import printable

T = TypeVar("T")


def open_store(place: Path | str) -> Store:
    """Opens the store at a path or URL for reading. Raises StoreError: missing, no store, newer version, damaged."""
    if isinstance(place, str) and is_url(place):
        path: Path | str = place.rstrip("/")
        group = _open_remote(place.rstrip("/"))
    else:
        path = Path(place)
        group = _open_folder(path)
    attributes = dict(group.attrs)
    if attributes.get("format") != schema.FORMAT:
        raise StoreError(f"{shown(path)} is a Zarr store, but not of shapebias")
    version = attributes.get("version")
    if type(version) is not int or version < 1:
        raise StoreError(f"{shown(path)} is damaged: its version is {printable(repr(version))}")
    if version > schema.VERSION:
        raise StoreError(
            f"{shown(path)} has store version {version}, this shapebias reads up to {schema.VERSION}: upgrade it with "
            "`pip install -U shapebias`"
        )
    return Store(path, group)


def _open_folder(path: Path) -> zarr.Group:
    if not path.exists():
        raise StoreError(f"{shown(path)} does not exist: make it with `shapebias precompute --store {shown(path)}`")
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{shown(path)} is not a shapebias store: it has no zarr.json")
    return _read(path, lambda: zarr.open_group(path, mode="r"))


def _open_remote(url: str) -> zarr.Group:
    from shapebias.core.store.remote import RemoteFiles  # rarely needed

    files = RemoteFiles.open_url(url)
    try:
        return _read(url, lambda: zarr.open_group(files, mode="r", zarr_format=3))
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise StoreError(f"{shown(url)} is not a shapebias store: it has no zarr.json: check the URL") from error
        raise


def _read(path: Path | str, action: Callable[[], T]) -> T:
    try:
        return action()
    except ShapebiasError:
        raise
    except Exception as error:
        reason = printable(str(error) or type(error).__name__, 120)
        raise StoreError(f"{shown(path)} is damaged at zarr.json: {reason}") from error
