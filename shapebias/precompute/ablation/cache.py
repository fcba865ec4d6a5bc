"""Ablation scores of finished layers, kept beside the store that is being made: the same command goes on from there."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from shapebias.core.files import write_atomically

Scores = dict[str, NDArray[np.float32]]


class AblationCache:
    """A folder with a file for each layer, named by a digest of everything that its scores depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, facts: dict[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:32]}.npz"

    def get(self, facts: dict[str, Any], units: int) -> Scores | None:
        """Return the scores that were kept under `facts` (JSON), float32 [units] each; None where there are none."""
        try:
            with np.load(self._file(facts), allow_pickle=False) as kept:
                scores = {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):  # none, or not one of ours
            return None
        right = all(values.shape == (units,) and values.dtype == np.float32 for values in scores.values())
        return scores if right else None

    def put(self, facts: dict[str, Any], scores: Scores) -> None:
        """Keep `scores`. Raises ShapebiasError where they cannot be written."""
        content = io.BytesIO()
        np.savez(content, **scores)  # type: ignore[arg-type]  # its stubs know one keyword of their own
        write_atomically(self._file(facts), content.getvalue())


def digest(*arrays: NDArray[Any] | list[bytes]) -> str:
    """Return the SHA-256 of arrays and lists of file names."""
    content = hashlib.sha256()
    for array in arrays:
        if isinstance(array, list):
            content.update(b"\0".join(array))
        else:
            content.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return content.hexdigest()
