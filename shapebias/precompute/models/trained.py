"""Networks of `shapebias train`: a safetensors file whose header describes the network."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.paper import DEMO_PAIR, PHOTO_PAIR
from shapebias.core.text import printable
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.models.checkpoints.file_kinds import check_kind
from shapebias.precompute.models.own import OWN
from shapebias.precompute.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, from_torchvision

SUFFIX = ".safetensors"
SHIPPED = {name: Path(__file__).parent / "weights" / f"{name}{SUFFIX}" for name in DEMO_PAIR + PHOTO_PAIR}
_VERSION = "1"
_MAX_CLASSES = 100_000
_MAX_SIDE = 4096  # px


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The header of such a file.

    architecture:  one of the program's own networks or of torchvision's classifiers, by name
    class_ids:     the classes of the outputs in order, called as the folders of their images are
    class_names:   their names for people, in the same order
    recipe:        how the network was trained, ready for JSON
    """

    architecture: str
    class_ids: list[str]
    class_names: list[str]
    preprocessing: Preprocessing
    recipe: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the network with random weights. Raises UsageError for an architecture that does not exist."""
        return build_network(self.architecture, len(self.class_names))

    def to_header(self) -> dict[str, str]:
        """Return the header as safetensors' metadata: a mapping of strings, where structured values are JSON."""
        geometry = self.preprocessing.geometry
        return {
            "format": "shapebias",
            "version": _VERSION,
            "architecture": self.architecture,
            "classes": str(len(self.class_names)),
            "class_ids": json.dumps(self.class_ids),
            "class_names": json.dumps(self.class_names),
            "input_size": str(geometry.crop),
            "geometry": json.dumps(asdict(geometry)),
            "mean": json.dumps(self.preprocessing.mean),
            "std": json.dumps(self.preprocessing.std),
            "recipe": json.dumps(self.recipe),
        }


def build_network(architecture: str, classes: int) -> nn.Module:
    """Return a network with random weights: one of the program's own, or a torchvision classifier, by name.

    Raises UsageError for any other name.
    """
    if architecture in OWN:
        return OWN[architecture].build(classes)
    import torchvision

    _check_name(architecture)
    extra = {"aux_logits": False, "init_weights": True} if architecture in ("googlenet", "inception_v3") else {}
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=classes, **extra)
    return network


def usual_preprocessing(architecture: str) -> Preprocessing:
    """Return the default preprocessing of an architecture: the side of the program's own one, or torchvision's values.

    Raises UsageError for a name that does not exist.
    """
    if architecture in OWN:
        side = OWN[architecture].side
        return Preprocessing(
            Geometry(side, side, "bilinear"), IMAGENET_MEAN, IMAGENET_STD, f"the {architecture} network"
        )
    import torchvision

    _check_name(architecture)
    first = next(iter(torchvision.models.get_model_weights(architecture)))
    return from_torchvision(first, f"the usual values for {architecture}")


def _check_name(architecture: str) -> None:
    import torchvision

    if architecture not in torchvision.models.list_models(torchvision.models):
        raise UsageError(
            f"no architecture {printable(architecture)}: {' or '.join(OWN)}, or a torchvision classifier (alexnet)"
        )


def trained_bytes(trained: Trained, network: nn.Module) -> bytes:
    """Return the content of the file: the header and the network's state dict."""
    tensors = {
        name: value.detach().to("cpu", memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    return save(tensors, trained.to_header())


def read_trained(path: Path) -> Trained | None:
    """Return the header of a safetensors file; None where `shapebias train` did not write it.

    Raises UsageError where there is no file or it is a folder, ShapebiasError where it is not a safetensors file or its
    header is wrong.
    """
    check_kind(path)
    try:
        with safe_open(path, "pt") as file:
            header: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        reason = printable(str(error), 160)
        raise ShapebiasError(f"{printable(str(path))} is not a safetensors file that can be read: {reason}") from error
    if header.get("format") != "shapebias":
        return None
    if header.get("version") != _VERSION:
        version = printable(header.get("version", "none"), 20)
        raise ShapebiasError(f"{printable(str(path))} is of version {version}; this shapebias reads {_VERSION}")
    try:
        return _parse(header)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = printable(f"{type(error).__name__}: {error}", 120)
        raise ShapebiasError(f"the header of {printable(str(path))} cannot be read: {reason}") from error


def _parse(header: dict[str, str]) -> Trained:
    ids, names = ([str(name) for name in json.loads(header[key])] for key in ("class_ids", "class_names"))
    if not (1 <= len(names) == len(ids) <= _MAX_CLASSES and header["classes"] == str(len(names))):
        raise ValueError("its lists of classes differ in length")
    mean, std = (tuple(float(value) for value in json.loads(header[key])) for key in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError("mean or std out of range")
    geometry = Geometry(**json.loads(header["geometry"]))
    if max(geometry.resize, geometry.crop) > _MAX_SIDE:
        raise ValueError("images out of range")
    recipe = json.loads(header["recipe"])
    if not isinstance(recipe, dict):
        raise TypeError("the recipe is not a JSON object")
    return Trained(
        architecture=header["architecture"],
        class_ids=ids,
        class_names=names,
        preprocessing=Preprocessing(geometry, mean, std, "the weights' file"),
        recipe=recipe,
    )
