"""Weights from a file into a network. Nothing in the file is executed."""

import hashlib
import mmap
import pickle
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.file_kinds import check_kind, is_safetensors
from shapebias.precompute.models.checkpoints.formats import Weights, weights_for
from shapebias.precompute.models.checkpoints.mismatch import classes_of, explain_mismatch, mismatch
from shapebias.precompute.models.checkpoints.unpickle import Placeholder, read_pickled


@dataclass(frozen=True)
class Checkpoint:
    """A file that was read: `content` is a state dict in whatever its trainer wrapped around it."""

    path: Path
    content: Any = field(repr=False)

    @cached_property
    def sha256(self) -> Future[str]:
        """Of the file, in hexadecimal; from the first look on it is computed beside all else."""
        pool = ThreadPoolExecutor(1)
        digest = pool.submit(_sha256, self.path)
        pool.shutdown(wait=False)
        return digest

    def classes_for(self, network: nn.Module) -> int | None:
        """Return the number of classes of the file, where `network` fits but for theirs; else None. Raises
        ShapebiasError."""
        wanted = network.state_dict()
        return classes_of(wanted, self.weights_for(wanted).state)

    def weights_for(self, wanted: Mapping[str, Tensor]) -> Weights:
        """Return the file's tensors by the names of a state dict. Raises ShapebiasError where there are none."""
        weights = weights_for(self.content, wanted)
        if not weights.state:
            what = "holds a pickled object" if self.content is Placeholder else "holds no state dict"
            raise ShapebiasError(f"{printable(str(self.path))} {what}: save the network's state_dict() instead")
        return weights

    def fill(self, network: nn.Module, replace: bool = False) -> Weights:
        """Copy the weights into `network`, or `replace` its tensors. Raises ShapebiasError if they do not fit."""
        wanted = network.state_dict()
        weights = self.weights_for(wanted)
        if mismatch(wanted, weights.state):
            name = printable(str(self.path))
            raise ShapebiasError(explain_mismatch(name, type(network).__name__, wanted, weights.state))
        state = {name: value.to(wanted[name].dtype) for name, value in weights.state.items()}
        network.load_state_dict(state, assign=replace)
        return weights


def read_checkpoint(path: Path) -> Checkpoint:
    """Read safetensors, or what `torch.save` wrote, onto the CPU. Raises UsageError or ShapebiasError, one line."""
    check_kind(path)
    try:
        content = _read_safetensors(path) if is_safetensors(path) else _read_torch(path)
    except Exception as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
        raise ShapebiasError(
            f"{printable(str(path))} is not a checkpoint that can be read safely, or is cut off: {reason}"
        ) from error
    return Checkpoint(path, content)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read into memory: mapped tensors would change with the file, which the next epoch may replace."""
    return {name: value.clone() for name, value in load_file(path).items()}


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle's protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # it holds other objects than tensors
        return read_pickled(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()  # in one call, so that other threads go on
