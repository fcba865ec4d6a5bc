"""From a `ModelSpec` to a network in eval mode with its preprocessing."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.checkpoint import load_checkpoint
from shapebias.precompute.models.preprocessing import (
    Preprocessing,
    from_pretrained_cfg,
    from_torchvision,
    imagenet_preprocessing,
)
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.models.trained import SHIPPED, SMALL, SUFFIX, read_trained


@dataclass
class LoadedModel:
    """A network, ready to look at. `architecture` is torchvision's name, else the module's class name.

    `class_ids` names the classes of the outputs in order, None where nobody said.
    """

    label: str
    network: nn.Module
    architecture: str
    source: str
    preprocessing: Preprocessing
    class_ids: list[str] | None = None

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def weights_sha256(self) -> str:
        """Of the state dict's names, shapes and bytes, in order: the same weights give the same digest anywhere."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()


def load_model(spec: ModelSpec) -> LoadedModel:
    """Builds the network that `spec` names, with its weights. Raises UsageError or ShapebiasError, one line each."""
    source = spec.source if spec.checkpoint is None else f"{spec.source}@{spec.checkpoint}"
    spec = _shipped(spec)
    found = _from_training(spec)
    class_ids: list[str] | None = None
    if found is not None:
        network, architecture, preprocessing, class_ids = found
    elif ":" in spec.source:
        network, architecture, preprocessing = _from_code(spec)
    else:
        network, architecture, preprocessing = _from_torchvision(spec)
    checkpoint = Path(spec.source) if spec.checkpoint is None and spec.source.endswith(SUFFIX) else spec.checkpoint
    if checkpoint is not None:
        load_checkpoint(network, checkpoint)
    return LoadedModel(spec.label, network.eval(), architecture, source, preprocessing, class_ids)


def _shipped(spec: ModelSpec) -> ModelSpec:
    """The built-in pair's names as the files that they stand for."""
    if spec.source not in SHIPPED:
        return spec
    if spec.checkpoint is not None:
        raise UsageError(f"{spec.source} has weights of its own: for others of its kind write {SMALL}@FILE{SUFFIX}")
    return replace(spec, source=str(SHIPPED[spec.source]))


def _from_training(spec: ModelSpec) -> tuple[nn.Module, str, Preprocessing, list[str]] | None:
    """A network that `shapebias train` wrote, as `FILE.safetensors` or `ARCHITECTURE@FILE.safetensors`; else None."""
    alone = spec.checkpoint is None and spec.source.endswith(SUFFIX)
    path = Path(spec.source) if alone else spec.checkpoint
    if path is None or path.suffix != SUFFIX or (":" in spec.source and not alone):
        if spec.source == SMALL:
            raise UsageError(f"{SMALL} has no weights of its own: train it, then {SMALL}@FILE{SUFFIX}")
        return None
    trained = read_trained(path)
    if trained is None:
        if alone or spec.source == SMALL:
            raise ShapebiasError(
                f"{printable(str(path))} does not say which network it is of: write --model SOURCE@FILE{SUFFIX}"
            )
        return None
    if not alone and spec.source != trained.architecture:
        raise UsageError(
            f"{printable(str(path))} holds weights of {printable(trained.architecture)}, not of "
            f"{printable(spec.source)}"
        )
    return trained.build(), trained.architecture, trained.preprocessing, trained.class_ids


def _from_code(spec: ModelSpec) -> tuple[nn.Module, str, Preprocessing]:
    """A network from the user's own code: the only code that a `--model` runs."""
    place, _, function = spec.source.rpartition(":")
    module = _import_file(Path(place), spec.source) if place.endswith(".py") else _import_module(place, spec.source)
    build: Callable[[], Any] | None = getattr(module, function, None)
    if not callable(build):
        raise UsageError(f"{printable(place)} has no function {printable(function)}")
    network = _run(spec.source, build)
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise ShapebiasError(f"{printable(spec.source)} returned {printable(kind)}, not a torch.nn.Module")
    cfg = getattr(network, "pretrained_cfg", None)
    return network, type(network).__name__, from_pretrained_cfg(cfg) if cfg else imagenet_preprocessing()


def _run(source: str, action: Callable[[], Any]) -> Any:
    """The result of the user's code; whatever it raises becomes one line."""
    try:
        return action()
    except (Exception, SystemExit) as error:
        reason = printable(f"{type(error).__name__}: {error}", 300)
        raise ShapebiasError(f"{printable(source)} failed: {reason}") from error


def _import_file(path: Path, source: str) -> Any:
    if not path.is_file():
        raise UsageError(f"{printable(str(path))} does not exist (from --model {printable(source)})")
    name = f"shapebias_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    loader = found.loader
    _run(source, lambda: loader.exec_module(module))
    return module


def _import_module(name: str, source: str) -> Any:
    if name == "timm":
        raise UsageError("timm models are not supported yet: use FILE.py:FUNCTION with a function that returns one")
    return _run(source, lambda: importlib.import_module(name))


def _from_torchvision(spec: ModelSpec) -> tuple[nn.Module, str, Preprocessing]:
    """A torchvision classifier by its name; without a checkpoint, with torchvision's own weights."""
    import torchvision

    name = spec.source
    if name not in torchvision.models.list_models(torchvision.models):
        raise UsageError(
            f"no model {printable(name)}: name a torchvision classifier (alexnet, resnet50), FILE.py:FUNCTION, "
            f"module:FUNCTION, FILE{SUFFIX}, {' or '.join(SHIPPED)}"
        )
    weights = torchvision.models.get_model_weights(name).DEFAULT
    if spec.checkpoint is None:
        return _downloaded(name, weights), name, from_torchvision(weights, f"torchvision's {weights}")
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network = torchvision.models.get_model(name, weights=None, **extra)
    if name == "googlenet":  # its published weights come without the training-only heads
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    first = next(iter(torchvision.models.get_model_weights(name)))
    return network, name, from_torchvision(first, f"the usual values for {name}")


def _downloaded(name: str, weights: Any) -> nn.Module:
    import torchvision

    try:
        network: nn.Module = torchvision.models.get_model(name, weights=weights, progress=False)
    except Exception as error:  # no network, a proxy, a full disk: urllib and torch.hub raise many kinds
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise ShapebiasError(
            f"torchvision's weights of {name} could not be downloaded ({reason}): fetch {weights.url} elsewhere and "
            f"pass it as --model {name}@FILE"
        ) from error
    return network
