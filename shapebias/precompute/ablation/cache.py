"""Ablation scores of finished layers, kept beside the store that is being made, so that the same command can
continue.
"""

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from shapebias.core.files import write_atomically

Scores = dict[str, NDArray[np.float32]]  # by metric, float32 [units] of a layer
_HOW = "how"  # the array with everything except scores, as JSON


@dataclass
class Ablated:
    """The result of ablating the units of a layer.

    scores:      the units' scores by metric, float32 [units]
    why_whole:   why the whole network was run; None where only its remainder behind the layer was
    in_float32:  the share of rows that was decided in float32 rather than bfloat16, as text; None where all were
    notes:       further remarks for the user
    """

    scores: Scores
    why_whole: str | None = None
    in_float32: str | None = None
    notes: list[str] = field(default_factory=list)


class AblationCache:
    """A folder with one file per layer, named by a digest of everything that the layer's scores depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, facts: dict[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:32]}.npz"

    def get(self, facts: dict[str, Any], units: int) -> Ablated | None:
        """Return the result kept for `facts` (JSON) about a layer with `units` units; None where there is none."""
        try:
            with np.load(self._file(facts), allow_pickle=False) as kept:
                scores = {name: kept[name] for name in kept.files}
            facts_of_run = json.loads(bytes(scores.pop(_HOW)))
            ablated = Ablated(
                scores,
                why_whole=facts_of_run["why_whole"],
                in_float32=facts_of_run["in_float32"],
                notes=facts_of_run["notes"],
            )
        except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile):  # none, or not one of ours
            return None
        right = all(values.shape == (units,) and values.dtype == np.float32 for values in scores.values())
        return ablated if right else None

    def put(self, facts: dict[str, Any], ablated: Ablated) -> None:
        """Keep a layer's result, which depends on `facts` (JSON). Raises ShapebiasError where it cannot be written."""
        content = io.BytesIO()
        facts_of_run = {"why_whole": ablated.why_whole, "in_float32": ablated.in_float32, "notes": ablated.notes}
        arrays = ablated.scores | {_HOW: np.frombuffer(json.dumps(facts_of_run).encode(), np.uint8)}
        np.savez(content, **arrays)  # type: ignore[arg-type]  # its stubs know one keyword of their own
        write_atomically(self._file(facts), content.getvalue())


def digest(*arrays: NDArray[Any] | list[bytes]) -> str:
    """Return the SHA-256 of arrays and lists of file names, as 64 hexadecimal digits."""
    content = hashlib.sha256()
    for array in arrays:
        if isinstance(array, list):
            content.update(b"\0".join(array))
        else:
            content.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return content.hexdigest()
