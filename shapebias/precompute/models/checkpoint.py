"""Weights from a file into a network. Nothing in the file is executed."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.", "_orig_mod.")


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Fills `network` with the state dict in `path`: safetensors, or PyTorch's, bare or wrapped.

    Raises UsageError or ShapebiasError.
    """
    if not path.is_file():
        raise UsageError(f"the checkpoint {printable(str(path))} does not exist")
    try:
        safe = path.suffix == ".safetensors"
        content = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
        raise ShapebiasError(f"{printable(str(path))} is not a checkpoint that can be read safely: {reason}") from error
    state = _state_dict(content)
    if not state:
        raise ShapebiasError(f"{printable(str(path))} holds no state dict")
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    reshaped = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    if missing or unexpected or reshaped:
        raise ShapebiasError(
            f"{printable(str(path))} does not fit {type(network).__name__}: {_listed(missing, 'missing')}, "
            f"{_listed(unexpected, 'unexpected')}, {_listed(reshaped, 'of another shape')}; is it another architecture "
            "or number of classes?"
        )
    network.load_state_dict(state)


def _listed(names: list[str], what: str) -> str:
    some = f" ({printable(', '.join(names[:2]), 80)}{', …' if len(names) > 2 else ''})" if names else ""
    return f"{len(names)} {what}{some}"


def _state_dict(content: Any) -> dict[str, Tensor]:
    """The tensors by name, without the wrappers that trainers put around them."""
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        return {}
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
