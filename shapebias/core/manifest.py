"""The list of a store's files, written when it is finished: what is missing, cut or changed later can be told.

Chunks have checksums of their own; metadata has none but here.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable

NAME = "manifest.json"
_METADATA = "zarr.json"


def write_manifest(store: Path) -> None:
    """Lists all files of a store in it: sizes in bytes, and SHA-256 digests of metadata."""
    found = _scan(store)
    digests = {name: _digest(store / name) for name in found if Path(name).name == _METADATA}
    content = {"files": found, "metadata": digests}
    (store / NAME).write_text(json.dumps(content, indent=0, sort_keys=True), "utf-8")


def _scan(store: Path) -> dict[str, int]:
    files = sorted(each for each in store.rglob("*") if each.is_file())
    return {each.relative_to(store).as_posix(): each.stat().st_size for each in files if each != store / NAME}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def compare_with_manifest(store: Path) -> tuple[list[tuple[str, str]], list[str]] | None:
    """What is not as the manifest says: (file, what) of each, and files that it does not list; None without one.

    Raises ShapebiasError where the manifest cannot be read.
    """
    file = store / NAME
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
        listed = {str(name): int(size) for name, size in content["files"].items()}
        digests = {str(name): str(digest) for name, digest in content["metadata"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ShapebiasError(f"{printable(str(store))} is damaged at {NAME}: it cannot be read") from error
    found = _scan(store)
    wrong = []
    for name, size in listed.items():
        if name not in found:
            wrong.append((name, "the file is missing"))
        elif found[name] != size:
            wrong.append((name, f"the file has {found[name]} bytes, not {size}"))
        elif name in digests and _digest(store / name) != digests[name]:
            wrong.append((name, "the metadata changed"))
    return wrong, [name for name in found if name not in listed]
