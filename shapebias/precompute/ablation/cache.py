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
        """The scores that were kept under `facts` (JSON), float32 [units] each; None where there are none."""
        try:
            with np.load(self._file(facts), allow_pickle=False) as kept:
                scores = {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):  # none, or not one of ours
            return None
        return scores if all(each.shape == (units,) and each.dtype == np.float32 for each in scores.values()) else None

    def put(self, facts: dict[str, Any], scores: Scores) -> None:
        """Keeps `scores`. Raises ShapebiasError where they cannot be written."""
        content = io.BytesIO()
        np.savez(content, **scores)  # type: ignore[arg-type]  # its stubs know one keyword of their own
        write_atomically(self._file(facts), content.getvalue())


def digest(*arrays: NDArray[Any] | list[bytes]) -> str:
    """Of arrays and file names."""
    found = hashlib.sha256()
    for each in arrays:
        if isinstance(each, list):
            found.update(b"\0".join(each))
        else:
            found.update(f"{each.dtype} {each.shape}".encode() + each.tobytes())
    return found.hexdigest()
