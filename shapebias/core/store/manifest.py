"""The list of a store's files, written when it is finished: what is missing, cut or changed later can be told.

Chunks have checksums of their own. Metadata is repeated here, so that it can be told from what it was, and come in one
piece over a network.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable

NAME = "manifest.json"
METADATA = "zarr.json"


def write_manifest(store: Path) -> None:
    """Lists all files of a store in it: sizes in bytes, and what is in files of metadata."""
    found = _scan(store)
    metadata = {name: json.loads((store / name).read_bytes()) for name in found if Path(name).name == METADATA}
    (store / NAME).write_text(json.dumps({"files": found, "metadata": metadata}, separators=(",", ":")), "utf-8")


def _scan(store: Path) -> dict[str, int]:
    files = sorted(each for each in store.rglob("*") if each.is_file())
    return {each.relative_to(store).as_posix(): each.stat().st_size for each in files if each != store / NAME}


def read_manifest(content: bytes) -> tuple[dict[str, int], dict[str, Any]]:
    """The sizes of files, and the metadata (of early versions: its SHA-256 digests), by name. Raises ValueError."""
    try:
        found = json.loads(content)
        return {str(name): int(size) for name, size in found["files"].items()}, dict(found["metadata"])
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("not a manifest") from error


def compare_with_manifest(store: Path) -> tuple[list[tuple[str, str]], list[str]] | None:
    """What is not as the manifest says: (file, what) of each, and files that it does not list; None without one.

    Raises ShapebiasError where the manifest cannot be read.
    """
    file = store / NAME
    if not file.is_file():
        return None
    try:
        listed, metadata = read_manifest(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ShapebiasError(f"{printable(str(store))} is damaged at {NAME}: it cannot be read") from error
    found = _scan(store)
    wrong = []
    for name, size in listed.items():
        if name not in found:
            wrong.append((name, "the file is missing"))
        elif found[name] != size:
            wrong.append((name, f"the file has {found[name]} bytes, not {size}"))
        elif name in metadata and not _is_same(store / name, metadata[name]):
            wrong.append((name, "the metadata changed"))
    return wrong, [name for name in found if name not in listed]


def _is_same(file: Path, known: Any) -> bool:
    content = file.read_bytes()
    if isinstance(known, str):
        return hashlib.sha256(content).hexdigest() == known
    try:
        return bool(json.loads(content) == known)
    except (ValueError, RecursionError):
        return False
