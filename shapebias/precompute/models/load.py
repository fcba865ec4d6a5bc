"""Loads the network of a `ModelSpec`, in eval mode, with its preprocessing."""

import copy
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shapebias.core import imagenet
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.models import timm_models, torchvision_models
from shapebias.precompute.models.checkpoints.formats import Weights
from shapebias.precompute.models.checkpoints.read import Checkpoint, read_checkpoint
from shapebias.precompute.models.classes import read_classes
from shapebias.precompute.models.consistency import damaged_weights
from shapebias.precompute.models.own import OWN
from shapebias.precompute.models.preprocessing import (
    NORMALIZATIONS,
    Preprocessing,
    from_pretrained_cfg,
    imagenet_preprocessing,
)
from shapebias.precompute.models.spec import ModelSpec, check_sources
from shapebias.precompute.models.trained import SHIPPED, SUFFIX, read_trained
from shapebias.precompute.models.unwrapping import initialize, inside, takes_videos, unwrap, use_float32


@dataclass
class LoadedModel:
    """A network, ready to run.

    architecture:  the name in torchvision or timm, else the module's class
    source:        what the user named, with its checkpoint
    class_ids:     the classes of the outputs in order; None where unknown
    output:        the name of the class scores among several outputs; None where not given
    decides:       false where the weights are without the network's head
    file_digest:   the SHA-256 of the checkpoint's file, being computed; None without a file
    notes:         lines for the user
    """

    label: str
    network: nn.Module
    architecture: str
    source: str
    preprocessing: Preprocessing
    class_ids: list[str] | None = None
    output: str | None = None
    decides: bool = True
    file_digest: Future[str] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def file_sha256(self) -> str | None:
        """The SHA-256 of the checkpoint's file, once it is computed; None without a file.

        Raises ShapebiasError where the file has changed since it was read.
        """
        return None if self.file_digest is None else self.file_digest.result()

    @property
    def parameters(self) -> int:
        """Return the number of parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def weights_sha256(self) -> str:
        """Return the SHA-256, in hexadecimal, of the state dict's names, shapes, dtypes and bytes, sorted by name.

        Equal weights give equal digests on any device.
        """
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            if not isinstance(value, torch.Tensor):  # a module's extra state beside its weights
                digest.update(f"{name} {value!r}\n".encode())
                continue
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            dense: torch.Tensor = value if value.layout == torch.strided else value.to_dense()
            digest.update(dense.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class InMemorySpec(ModelSpec):
    """A network that a Python program holds.

    preparation:  its preprocessing; None: that of the module's `pretrained_cfg`, else ImageNet's usual one
    class_ids:    the classes of its outputs in order; None where unknown
    """

    module: nn.Module
    preparation: Preprocessing | None = None
    class_ids: tuple[str, ...] | None = None


def in_memory_spec(
    label: str,
    module: nn.Module,
    preparation: Preprocessing | None = None,
    class_ids: tuple[str, ...] | None = None,
) -> InMemorySpec:
    """Return the spec of a network in memory; its source is a description: `a ResNet in memory`."""
    source = f"a {type(inside(module)).__name__} in memory"
    return InMemorySpec(
        label=label, source=source, checkpoint=None, module=module, preparation=preparation, class_ids=class_ids
    )


_Source = tuple[nn.Module, str, Preprocessing, list[str] | None]  # network, architecture, preprocessing, class ids


def load_model(spec: ModelSpec, download: bool = True) -> LoadedModel:
    """Return the network that `spec` names, with its weights, in eval mode; a network in memory is copied.

    Without `download`, networks whose weights would be downloaded get zeros or random numbers, which is enough to look
    at the layers. Raises UsageError or ShapebiasError where the spec, a file or the user's code is at fault, or a
    download fails.
    """
    if isinstance(spec, InMemorySpec):
        return _from_memory(spec)
    check_sources([spec])
    source = spec.network
    spec = _shipped(spec)
    classes = read_classes(spec.classes) if spec.classes is not None else None
    source_parts = _from_training(spec)
    path = Path(spec.source) if spec.checkpoint is None and spec.source.endswith(SUFFIX) else spec.checkpoint
    if spec.weights is not None and path is None:
        raise UsageError(f"weights={printable(spec.weights)} chooses in a checkpoint: name one, as SOURCE@FILE")
    checkpoint = read_checkpoint(path, spec.weights) if path is not None else None
    from_library = source_parts is None and not _is_code(spec.source)
    if source_parts is None:
        source_parts = _from_library(spec.source, checkpoint, download) if from_library else _from_code(spec)
    network, architecture, preprocessing, class_ids = source_parts
    weights = checkpoint.fill(network, replace=from_library) if checkpoint is not None else Weights({})
    preprocessing = _normalized(preprocessing, weights, spec.preprocess)
    notes = [note for note in weights.notes if not (spec.preprocess and "preprocess=" in note)]
    model = LoadedModel(
        label=spec.label,
        network=network,
        architecture=architecture,
        source=source,
        preprocessing=preprocessing,
        class_ids=class_ids if classes is None else classes,
        file_digest=checkpoint.sha256 if checkpoint is not None else None,
        output=spec.output,
        decides=not weights.without_head,
        notes=notes,
    )
    return _finished(model)


def _from_memory(spec: InMemorySpec) -> LoadedModel:
    """Return a copy of a network that a Python program holds, ready to run."""
    network, architecture, preprocessing, _ = _described(_copy(spec), spec.source)
    model = LoadedModel(
        label=spec.label,
        network=network,
        architecture=architecture,
        source=spec.source,
        preprocessing=preprocessing if spec.preparation is None else spec.preparation,
        class_ids=None if spec.class_ids is None else list(spec.class_ids),
        output=spec.output,
    )
    return _finished(model)


def _copy(spec: InMemorySpec) -> nn.Module:
    """Return a copy of the network on its device, since a run changes modes, memory formats and hooks.

    Raises ShapebiasError where it cannot be copied.
    """
    try:
        return copy.deepcopy(inside(spec.module))
    except Exception as error:
        reason = printable(f"{type(error).__name__}: {error}", 200)
        raise ShapebiasError(f"{spec.label} ({printable(spec.source)}) cannot be copied: {reason}") from error


def _finished(model: LoadedModel) -> LoadedModel:
    """Return the same model in eval mode, with half-precision weights as float32, and with notes of problems.

    Raises ShapebiasError where lazy modules fail at their first forward.
    """
    network = model.network.eval()
    _run(model.source, lambda: initialize(network, model.preprocessing.geometry.crop))
    model.notes += [*damaged_weights(network), *use_float32(network)]
    return model


def _shipped(spec: ModelSpec) -> ModelSpec:
    """Return the spec, with its file as the source where it names a network that comes with the program."""
    if spec.source not in SHIPPED:
        return spec
    return replace(spec, source=str(SHIPPED[spec.source]))


def _normalized(preprocessing: Preprocessing, weights: Weights, name: str | None) -> Preprocessing:
    """Return `preprocessing` with the normalisation `name` (a key of `NORMALIZATIONS`) where the user gives one, else
    with the checkpoint's, else as it is. Its `origin` then says so.
    """
    if name is not None:
        mean, std = NORMALIZATIONS[name]
        return replace(preprocessing, mean=mean, std=std, origin=f"preprocess={name}")
    if weights.mean is not None and weights.std is not None:
        return replace(preprocessing, mean=weights.mean, std=weights.std, origin="the checkpoint's normaliser")
    return preprocessing


def _is_code(source: str) -> bool:
    return ":" in source and not source.startswith("timm:")


def _from_training(spec: ModelSpec) -> _Source | None:
    """Return a network that `shapebias train` wrote, `FILE.safetensors` or `ARCHITECTURE@FILE.safetensors`; None for
    others.

    Its weights are not read yet. Raises UsageError where the file is of another architecture than the spec's, and
    ShapebiasError where it cannot be read, or should say which network it is of and does not.
    """
    alone = spec.checkpoint is None and spec.source.endswith(SUFFIX)
    path = Path(spec.source) if alone else spec.checkpoint
    if path is None or path.suffix != SUFFIX or (":" in spec.source and not alone):
        return None
    trained = read_trained(path)
    if trained is None:
        if alone or spec.source in OWN:
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


def _from_code(spec: ModelSpec) -> _Source:
    """Return a network from the user's own code, which is the only code that a `--model` runs.

    Raises UsageError where there is no such function or the layers cannot be hooked, and ShapebiasError where the code
    fails or returns no module.
    """
    location, _, function = spec.source.rpartition(":")
    module = (
        _import_file(Path(location), spec.source) if location.endswith(".py") else _import_module(location, spec.source)
    )
    build: Callable[[], Any] | None = getattr(module, function, None)
    if not callable(build):
        raise UsageError(f"{printable(location)} has no function {printable(function)}")
    network = _run(spec.source, build)
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise ShapebiasError(f"{printable(spec.source)} returned {printable(kind)}, not a torch.nn.Module")
    return _described(network, spec.source)


def _described(network: nn.Module, source: str) -> _Source:
    """Return a module without its wrappers, with the preprocessing of its `pretrained_cfg`, else ImageNet's
    usual one.

    Raises UsageError where its layers cannot be hooked, and ShapebiasError where its `pretrained_cfg` makes no sense.
    """
    cfg = getattr(network, "pretrained_cfg", None)
    network = unwrap(network, source)
    cfg = cfg or getattr(network, "pretrained_cfg", None)
    return network, type(network).__name__, from_pretrained_cfg(cfg) if cfg else imagenet_preprocessing(), None


def _run(source: str, action: Callable[[], Any]) -> Any:
    """Return the result of the user's code. Raises ShapebiasError, one line, for any error in it."""
    try:
        return action()
    except (Exception, SystemExit) as error:
        reason = printable(f"{type(error).__name__}: {error}", 300)
        raise ShapebiasError(f"{printable(source)} failed: {reason}") from error


def _import_file(path: Path, source: str) -> Any:
    name = f"shapebias_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    loader = module_spec.loader
    _run(source, lambda: loader.exec_module(module))
    return module


def _import_module(name: str, source: str) -> Any:
    return _run(source, lambda: importlib.import_module(name))


def _from_library(source: str, checkpoint: Checkpoint | None, download: bool) -> _Source:
    """Return a network of torchvision or timm by its name, with the library's own weights where they are downloaded.

    With a checkpoint it is a network for that, which does not have its weights yet. Without `download` the weights mean
    nothing.
    """
    library, name = (timm_models, source.removeprefix("timm:")) if ":" in source else (torchvision_models, source)
    if checkpoint is not None:
        network, preprocessing = library.for_checkpoint(name, checkpoint)
    elif download:
        network, preprocessing = library.pretrained(name)
    else:
        network, preprocessing = library.without_weights(name)
    return network, source, preprocessing, imagenet.wnids() if _outputs(network) == len(imagenet.wnids()) else None


def _outputs(network: nn.Module) -> int:
    """Return a network's number of classes: timm's attribute, else the length of the last tensor in the state dict,
    which in torchvision's classifiers belongs to the last layer.
    """
    classes = getattr(network, "num_classes", None)
    return classes if isinstance(classes, int) else len(list(network.state_dict().values())[-1])


def forward_error(model: LoadedModel, error: Exception) -> ShapebiasError:
    """Return the error that names a network and says how its forward failed."""
    crop = model.preprocessing.geometry.crop
    reason = printable(f"{type(error).__name__}: {error}", 240)
    takes = "takes videos, not images" if takes_videos(model.network) else f"fails on {crop} x {crop} images"
    return ShapebiasError(f"{model.label} ({printable(model.source)}) {takes}: {reason}")
