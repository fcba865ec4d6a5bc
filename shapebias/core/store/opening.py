"""Open a store for reading: a folder, a zip, or a URL."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import zarr
from zarr.storage import ZipStore

from shapebias.core.errors import ShapebiasError
from shapebias.core.remote import is_url
from shapebias.core.store import schema
from shapebias.core.store.errors import StoreError, damaged, store_name
from shapebias.core.store.files import Files, FolderFiles, ZippedFiles
from shapebias.core.store.reader import Store
from shapebias.core.store.single import SingleStore
from shapebias.core.text import printable

T = TypeVar("T")


def open_store(location: Path | str) -> Store:
    """Open the store at a path or URL for reading.

    Only facts about the store and its models are read. Raises StoreError where there is no store, or where it is
    damaged or made by a newer version, and ShapebiasError where the server of a URL does not deliver it.

    >>> open_store("no.zarr")
    Traceback (most recent call last):
    shapebias.core.store.errors.StoreError: no.zarr does not exist: make it with `shapebias precompute --store no.zarr`
    """
    if isinstance(location, str) and is_url(location):
        path: Path | str = location.rstrip("/")
        group, files = _open_remote(location.rstrip("/")), None
    else:
        path = Path(location)
        group, files = _open_zip(path) if path.is_file() else _open_folder(path)
    attributes = dict(group.attrs)
    if attributes.get("format") != schema.FORMAT:
        raise StoreError(f"{store_name(path)} is a Zarr store, but not of shapebias", path)
    version = attributes.get("version")
    if type(version) is not int or version < 1:
        raise damaged(path, f"its version is {printable(repr(version))}")
    if version > schema.VERSION:
        raise StoreError(
            f"{store_name(path)} has store version {version}, this shapebias reads up to {schema.VERSION}: upgrade it "
            "with `pip install -U shapebias`",
            path,
        )
    return SingleStore(path, group, files)


def _open_folder(path: Path) -> tuple[zarr.Group, Files]:
    name = store_name(path)
    if not path.exists():
        raise StoreError(f"{name} does not exist: make it with `shapebias precompute --store {name}`", path)
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{name} is not a shapebias store: it has no zarr.json", path)
    return _read(path, lambda: zarr.open_group(path, mode="r")), FolderFiles(path)


def _open_zip(path: Path) -> tuple[zarr.Group, Files]:
    """Open a store inside a zip without unpacking it."""
    if not zipfile.is_zipfile(path):
        raise StoreError(f"{store_name(path)} is not a shapebias store: it is a file, neither a folder nor a zip", path)
    files = _read(path, lambda: ZippedFiles(path))
    if not files.has("zarr.json"):
        raise StoreError(f"{store_name(path)} is a zip without a shapebias store: it has no zarr.json", path)
    archive = ZipStore(path, mode="r")
    return _read(path, lambda: zarr.open_group(archive, path=files.prefix.rstrip("/"), mode="r")), files


def _open_remote(url: str) -> zarr.Group:
    from shapebias.core.store.remote import RemoteFiles  # imported here, since it is rarely needed

    files = RemoteFiles.open_url(url)
    try:
        return _read(url, lambda: zarr.open_group(files, mode="r", zarr_format=3))
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            text = f"{store_name(url)} is not a shapebias store: it has no zarr.json: check the URL"
            raise StoreError(text, url) from error
        raise


def _read(path: Path | str, action: Callable[[], T]) -> T:
    try:
        return action()
    except ShapebiasError:
        raise
    except Exception as error:
        raise damaged(path, printable(str(error) or type(error).__name__, 120), "zarr.json") from error
