"""The manifest: the list of a store's files, written when the store is finished.

By it, missing, shortened and changed files are noticed.

Chunks have checksums of their own. Metadata has none, so its contents are repeated in the manifest; over a network all
metadata then arrives in one piece. The manifest is JSON. It is kept as the only chunk of a byte array, since Zarr warns
of files that it does not know; in stores of version 1 it is a file beside the root's zarr.json.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from shapebias.core.store.errors import damaged

ARRAY = "manifest"
NAME = f"{ARRAY}/c/0"
EARLY_NAME = "manifest.json"
METADATA = "zarr.json"


def file_sizes(store: Path) -> dict[str, int]:
    """Return the size in bytes of every file in a store's folder except the manifest, by the file's path in the store.

    Raises OSError where a file's size cannot be read.
    """
    files = sorted(path for path in store.rglob("*") if path.is_file())
    sizes = {path.relative_to(store).as_posix(): path.stat().st_size for path in files}
    return {name: size for name, size in sizes.items() if name != EARLY_NAME and not name.startswith(f"{ARRAY}/")}


def read_manifest(content: bytes) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the sizes in bytes of all files, and the contents of the metadata files, both by path in the store.

    `content` is the JSON of a manifest. The contents of a metadata file are its parsed JSON, or in early stores its
    SHA-256 digest, a str. Raises ValueError where `content` is not a manifest.
    """
    try:
        manifest = json.loads(content)
        return {str(name): int(size) for name, size in manifest["files"].items()}, dict(manifest["metadata"])
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("not a manifest") from error


def compare_with_manifest(store: Path) -> tuple[list[tuple[str, str]], list[str]] | None:
    """Return how a store's folder differs from its manifest: (path in the store, difference in words) of listed files,
    and the paths of files that the manifest does not list.

    Only sizes and metadata are compared. Returns None where there is no manifest. Raises StoreError where the manifest
    cannot be read, and OSError where another file cannot.
    """
    name = next((name for name in (NAME, EARLY_NAME) if (store / name).is_file()), None)
    if name is None:
        return None
    try:
        listed, metadata = read_manifest((store / name).read_bytes())
    except (OSError, ValueError) as error:
        raise damaged(store, "it cannot be read", name) from error
    sizes = file_sizes(store)
    wrong = []
    for name, size in listed.items():
        if name not in sizes:
            wrong.append((name, "the file is missing"))
        elif sizes[name] != size:
            wrong.append((name, f"the file has {sizes[name]} bytes, not {size}"))
        elif name in metadata and not _is_same(store / name, metadata[name]):
            wrong.append((name, "the metadata changed"))
    return wrong, [name for name in sizes if name not in listed]


def _is_same(file: Path, recorded: Any) -> bool:
    content = file.read_bytes()
    if isinstance(recorded, str):
        return hashlib.sha256(content).hexdigest() == recorded
    try:
        return bool(json.loads(content) == recorded)
    except (ValueError, RecursionError):
        return False
