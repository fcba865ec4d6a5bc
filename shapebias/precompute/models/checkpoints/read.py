"""Reads weights from a file into a network, without executing anything in the file."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.arrays import tensor_of
from shapebias.precompute.models.checkpoints.contents import TensorGroup, keys_in_words, tensor_groups
from shapebias.precompute.models.checkpoints.file_kinds import check_kind, is_numpy_archive, is_safetensors
from shapebias.precompute.models.checkpoints.formats import Weights, weights_for
from shapebias.precompute.models.checkpoints.mismatch import classes_of, explain_mismatch, mismatch
from shapebias.precompute.models.checkpoints.unpickle import Placeholder, read_pickled

_CHUNK = 2**26  # bytes that are hashed at once: other threads run meanwhile
_Moment = tuple[int, int, int]  # a file's inode, size and modification time


@dataclass(frozen=True)
class Checkpoint:
    """A file that was read.

    content:  the object in the file
    groups:   the tensors in it
    moment:   identifies the version of the file that was read
    request:  which of several sets of weights the user wants (`ema`, `raw`, a key); None where nothing was asked for
    """

    path: Path
    content: Any = field(repr=False)
    groups: list[TensorGroup] = field(repr=False)
    moment: _Moment | None
    request: str | None = None
    _known: dict[tuple[Any, ...], Weights] = field(default_factory=dict, repr=False)

    @cached_property
    def sha256(self) -> Future[str]:
        """The SHA-256 of the file in hexadecimal, computed on another thread from the first access on.

        The future's result raises ShapebiasError where the file has changed since it was read.
        """
        pool = ThreadPoolExecutor(1)
        digest = pool.submit(_sha256, self.path, self.moment)
        pool.shutdown(wait=False)
        return digest

    def classes_for(self, network: nn.Module) -> int | None:
        """Return the file's number of classes where that alone differs in shape from the network's; else None.

        Raises the errors of `weights_for`.
        """
        wanted = network.state_dict()
        return classes_of(wanted, self.weights_for(wanted).state)

    def weights_for(self, wanted: Mapping[str, Tensor]) -> Weights:
        """Return the file's tensors by the names of a state dict, as `formats.weights_for` does.

        Raises UsageError where it is ambiguous which are meant or the file lacks those that the user wants, and
        ShapebiasError where the file holds no tensors or values that make no sense. Their text begins with the file's
        name.
        """
        name = printable(str(self.path))
        shapes = tuple((key, tuple(value.shape)) for key, value in wanted.items())
        try:
            weights = self._known.get(shapes) or weights_for(self.groups, wanted, self.request)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
        except ShapebiasError as error:
            raise ShapebiasError(f"{name}: {error}") from error
        if not weights.state:
            what = "holds a pickled object" if self.content is Placeholder else "holds no state dict"
            keys = "" if self.content is Placeholder else f" ({keys_in_words(self.content)})"
            raise ShapebiasError(f"{name} {what}{keys}: save the network's state_dict() instead")
        self._known[shapes] = weights
        return weights

    def fill(self, network: nn.Module, replace: bool = False) -> Weights:
        """Copy the weights into `network` and return them; with `replace`, the network takes the tensors themselves.

        Raises ShapebiasError where they do not fit, and the errors of `weights_for`.
        """
        wanted = network.state_dict()
        weights = self.weights_for(wanted)
        if mismatch(wanted, weights.state):
            why = explain_mismatch(
                type(network).__name__, wanted, weights.state, content=self.content, groups=self.groups
            )
            raise ShapebiasError(f"{printable(str(self.path))} {why}")
        state = {name: value.to(wanted[name].dtype) for name, value in weights.state.items()}
        network.load_state_dict(state, assign=replace)
        return weights


def read_checkpoint(path: Path, request: str | None = None) -> Checkpoint:
    """Read safetensors, NumPy's .npz, or a file of `torch.save`, onto the CPU.

    `request` names the wanted weights where the file holds several sets. Raises UsageError for a folder and a file that
    does not exist, and ShapebiasError where the file cannot be read, for instance because another program is writing
    it.
    """
    check_kind(path)
    moment = _moment(path)
    try:
        content = _read(path)
        groups = tensor_groups(content)
    except Exception as error:
        _check_unchanged(path, moment)
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
        raise ShapebiasError(
            f"{printable(str(path))} is not a checkpoint that can be read safely, or is cut off: {reason}"
        ) from error
    _check_unchanged(path, moment)
    return Checkpoint(path, content, groups, moment, request)


def _moment(path: Path) -> _Moment | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _check_unchanged(path: Path, moment: _Moment | None) -> None:
    if moment is None or _moment(path) != moment:
        raise ShapebiasError(f"{printable(str(path))} changed while it was read: start again when it is written")


def _read(path: Path) -> Any:
    if is_safetensors(path):
        return load(path.read_bytes())  # not memory-mapped: a file that becomes shorter would crash the program
    if is_numpy_archive(path):
        with np.load(path, allow_pickle=False) as arrays:
            tensors = {name: tensor_of(arrays[name]) for name in arrays.files}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown protocol of pickle
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # it holds objects other than tensors
        return read_pickled(path)


def _sha256(path: Path, moment: _Moment | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    _check_unchanged(path, moment)
    return digest.hexdigest()
