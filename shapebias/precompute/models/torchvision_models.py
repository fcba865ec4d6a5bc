"""torchvision's classifiers, with torchvision's weights or for a checkpoint."""

import re
from typing import Any, cast

import torch
from torch import nn

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.models.architectures import torchvision_names, unset_network
from shapebias.precompute.models.checkpoints.read import Checkpoint
from shapebias.precompute.models.preprocessing import Preprocessing, from_torchvision
from shapebias.precompute.models.spec import unknown_classifier
from shapebias.precompute.models.trained import usual_preprocessing

# Trained with mean and std 0.5; with `transform_input` they convert ImageNet's normalisation to that.
_RESCALING = ("googlenet", "inception_v3")
_HASH = re.compile(r"-([0-9a-f]{8})\.pth$")


def pretrained(name: str) -> tuple[nn.Module, Preprocessing]:
    """Return a classifier with torchvision's best weights, downloaded once.

    Raises UsageError for a name that does not exist, ShapebiasError where the weights cannot be downloaded.
    """
    import torchvision

    _check_name(name)
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=weights, progress=False)
    except Exception as error:  # no connection, a proxy, a full disk: urllib and torch.hub raise many kinds of errors
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise ShapebiasError(
            f"torchvision's weights of {name} could not be downloaded ({reason}): fetch {weights.url} elsewhere and "
            f"pass it as --model {name}@FILE"
        ) from error
    return network, from_torchvision(weights, f"torchvision's {weights}")


def for_checkpoint(name: str, checkpoint: Checkpoint) -> tuple[nn.Module, Preprocessing]:
    """Return a classifier for a `checkpoint`, with as many classes as the file has, but without its weights.

    A file that torchvision publishes is recognised by its digest: it gets the preprocessing of those weights, and a
    GoogLeNet or Inception rescales its input as they need. Raises UsageError for a name that does not exist or where
    the wanted weights are ambiguous, ShapebiasError where the file holds no weights or has changed.
    """
    import torchvision

    _check_name(name)
    network = unset_network(name)
    classes = checkpoint.classes_for(network)
    if classes is not None:
        network = unset_network(name, classes)
    every = torchvision.models.get_model_weights(name)
    published = next((weights for weights in every if _is_file_of(weights, checkpoint)), None)
    if published is not None:
        if name in _RESCALING:
            cast(Any, network).transform_input = True
        return network, from_torchvision(published, f"torchvision's {published}")
    return network, usual_preprocessing(name)


def without_weights(name: str) -> tuple[nn.Module, Preprocessing]:
    """Return a classifier whose weights are 0, which is enough to look at its layers.

    Raises UsageError for an unknown name.
    """
    _check_name(name)
    network = unset_network(name)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.zero_()
    return network, usual_preprocessing(name)


def _is_file_of(weights: Any, checkpoint: Checkpoint) -> bool:
    size = weights.meta["_file_size"]  # sizes in MiB are compared first, so that few other files are digested
    if abs(checkpoint.path.stat().st_size / 2**20 - size) > 0.001:
        return False
    digest = _HASH.search(weights.url)
    return digest is not None and checkpoint.sha256.result().startswith(digest[1])


def _check_name(name: str) -> None:
    names = torchvision_names()
    if name not in names:
        raise unknown_classifier(name, names)
