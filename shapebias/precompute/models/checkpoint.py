"""Weights from a file into a network. Nothing in the file is executed."""

import hashlib
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.models.file_kinds import check_kind, is_safetensors
from shapebias.precompute.models.formats import Weights, weights_for
from shapebias.precompute.models.mismatch import explain_mismatch, mismatch
from shapebias.precompute.models.unpickle import Placeholder, read_pickled


@dataclass(frozen=True)
class Checkpoint:
    """A file that was read: `content` is a state dict in whatever its trainer wrapped around it."""

    path: Path
    sha256: str
    content: Any = field(repr=False)

    def weights_for(self, network: nn.Module) -> Weights:
        """The file's tensors by the names of `network`. Raises ShapebiasError where there are none."""
        weights = weights_for(self.content, network.state_dict())
        if not weights.state:
            what = "holds a pickled object" if self.content is Placeholder else "holds no state dict"
            raise ShapebiasError(f"{printable(str(self.path))} {what}: save the network's state_dict() instead")
        return weights

    def fill(self, network: nn.Module) -> Weights:
        """Puts the weights into `network`, which may be on the meta device. Raises ShapebiasError if they do not fit.

        Tensors are not copied where the network has no memory of its own yet.
        """
        weights = self.weights_for(network)
        wanted = network.state_dict()
        if mismatch(wanted, weights.state):
            name = printable(str(self.path))
            raise ShapebiasError(explain_mismatch(name, type(network).__name__, wanted, weights.state))
        bare = any(value.is_meta for value in wanted.values())
        state = {name: value.to(wanted[name].dtype) for name, value in weights.state.items()}
        network.load_state_dict(state, assign=bare)
        return weights


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads safetensors, or what `torch.save` wrote, onto the CPU. Raises UsageError or ShapebiasError, one line."""
    check_kind(path)
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(_sha256, path)
        try:
            content = load_file(path) if is_safetensors(path) else _read_torch(path)
        except Exception as error:
            reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
            raise ShapebiasError(
                f"{printable(str(path))} is not a checkpoint that can be read safely, or is cut off: {reason}"
            ) from error
        return Checkpoint(path, digest.result(), content)


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle's protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # it holds other objects than tensors
        return read_pickled(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
