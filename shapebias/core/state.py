"""What shapebias remembers for a user between runs: JSON files in the user's state folder."""

import json
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import write_atomically
from shapebias.core.text import printable


def state_folder() -> Path:
    """`$XDG_STATE_HOME/shapebias`, else what the system has for it (`~/.local/state/shapebias`); it may not exist."""
    return user_state_path("shapebias")


def read_state(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is no file. Raises ShapebiasError where it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ShapebiasError(f"cannot read {printable(str(path))}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def write_state(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all, making its folder. Raises ShapebiasError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShapebiasError(f"cannot make {printable(str(path.parent))}: {error.strerror}") from error
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode("ascii"))


def _damaged(path: Path) -> ShapebiasError:
    return ShapebiasError(f"{printable(str(path))} is damaged: move it away")
