"""The file OUTPUT.checkpoint, which a training run writes after every epoch so that it can be resumed."""

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
    """Return the path of the checkpoint of a run that trains the network of the file `output`."""
    return output.with_name(f"{output.name}.checkpoint")


def describe(image_set: ImageSet) -> str:
    """Return a digest of the listing (paths, labels and classes), by which a resumed run knows that it is the same."""
    digest = hashlib.sha256(b"\0".join(image_set.paths))
    digest.update(image_set.labels.tobytes())
    digest.update(repr(image_set.class_ids).encode())
    return digest.hexdigest()[:16]


def save_state(
    output: Path,
    recipe: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    history: list[dict[str, Any]],
) -> None:
    """Replace the checkpoint by one rename. Raises ShapebiasError where that fails; then the old one is still there.

    output:   the file of the network: the checkpoint is beside it
    recipe:   all settings that the weights depend on, ready for JSON
    history:  the results of the epochs so far, ready for JSON
    """
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
    """Fill the network and the optimizer from the checkpoint, and return the results of its epochs; None without a
    checkpoint.

    Raises UsageError where the checkpoint is of another `recipe` (see `save_state`) or version, ShapebiasError where it
    is damaged or does not fit the network.
    """
    path = checkpoint_path(output)
    if not path.exists():
        return None
    path_text = printable(str(path))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        old_recipe, history = dict(state["recipe"]), list(state["history"])
        is_readable = state["version"] == _VERSION
    except Exception as error:  # torch.load raises what it likes
        raise ShapebiasError(f"{path_text} is damaged: start anew with --overwrite, or delete it") from error
    differing = [
        f"{key.replace('_', ' ')} {_show(old_recipe.get(key))}, now {_show(recipe.get(key))}"
        for key in dict.fromkeys([*recipe, *old_recipe])
        if old_recipe.get(key) != recipe.get(key)
    ]
    if differing or not is_readable:
        differences = "; ".join(differing) or "another version"
        raise UsageError(
            f"{path_text} is of a run with other settings ({differences}): use those, or start anew with --overwrite"
        )
    try:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:
        raise ShapebiasError(
            f"{path_text} does not belong to this network: start anew with --overwrite, or delete it"
        ) from error
    return history


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_show(part)}" for key, part in value.items())
    return "none" if value is None else printable(str(value), 60)
