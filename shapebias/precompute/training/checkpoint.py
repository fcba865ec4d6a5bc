"""What a training run leaves after every epoch, so that the next can go on: OUTPUT.checkpoint."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import write_atomically
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import ImageSet

_VERSION = 1


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a run is."""
    return output.with_name(f"{output.name}.checkpoint")


def describe(images: ImageSet) -> str:
    """A digest of the listing: paths, labels and classes, so that a resumed run sees the images it began with."""
    digest = hashlib.sha256(b"\0".join(images.paths))
    digest.update(images.labels.tobytes())
    digest.update(repr(images.class_ids).encode())
    return digest.hexdigest()[:16]


def save_state(
    output: Path,
    recipe: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: list[dict[str, Any]],
) -> None:
    """Replaces the checkpoint in one rename. Raises ShapebiasError; then the one before is still there."""
    memory = io.BytesIO()
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({"version": _VERSION, "recipe": recipe, "history": history, **state}, memory)
    try:
        write_atomically(checkpoint_path(output), memory.getvalue())
    except ShapebiasError as error:
        done = len(history) - 1
        kept = f"the checkpoint of epoch {done} is kept: run the same command to go on from it"
        raise ShapebiasError(f"{error}; {kept if done else 'no epoch is saved'}") from error


def load_state(
    output: Path, recipe: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer
) -> list[dict[str, Any]] | None:
    """Fills the network and the optimizer from the checkpoint; what its epochs gave, None where there is none.

    Raises UsageError where it is of other settings, ShapebiasError where it cannot be read.
    """
    path = checkpoint_path(output)
    if not path.exists():
        return None
    shown = printable(str(path))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, history = dict(state["recipe"]), list(state["history"])
        known = state["version"] == _VERSION
    except Exception as error:  # torch.load raises what it likes
        raise ShapebiasError(f"{shown} is damaged: start anew with --overwrite, or delete it") from error
    differing = [
        f"{key.replace('_', ' ')} {_show(found.get(key))}, now {_show(recipe.get(key))}"
        for key in dict.fromkeys([*recipe, *found])
        if found.get(key) != recipe.get(key)
    ]
    if differing or not known:
        what = "; ".join(differing) or "another version"
        raise UsageError(f"{shown} is of a run with other settings ({what}): use those, or start anew with --overwrite")
    try:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:
        raise ShapebiasError(f"{shown} does not fit: start anew with --overwrite, or delete it") from error
    return history


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_show(each)}" for key, each in value.items())
    return "none" if value is None else printable(str(value), 60)
