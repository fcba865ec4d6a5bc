"""The list of a store's files, written when the store is finished, so that missing, cut or changed files are noticed.

Chunks have checksums of their own. Metadata has none, so its text is repeated here; over a network it then arrives in
one piece. The list is JSON. It is kept as the only chunk of a byte array, since Zarr warns of files that it does not
know; in stores of version 1 it is a file beside the root's zarr.json.
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
    """Return the size in bytes of every file of a store except the manifest, by its path in the store."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    sizes = {path.relative_to(store).as_posix(): path.stat().st_size for path in files}
    return {name: size for name, size in sizes.items() if name != EARLY_NAME and not name.startswith(f"{ARRAY}/")}


def read_manifest(content: bytes) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the file sizes in bytes, and the metadata (in early versions its SHA-256 digests), both by file name.

    Raises ValueError where the content is not a manifest.
    """
    try:
        manifest = json.loads(content)
        return {str(name): int(size) for name, size in manifest["files"].items()}, dict(manifest["metadata"])
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("not a manifest") from error


def compare_with_manifest(store: Path) -> tuple[list[tuple[str, str]], list[str]] | None:
    """Return the differences from the manifest as (file, difference), and the files that it does not list.

    Returns None where there is no manifest. Raises StoreError where the manifest cannot be read.
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
