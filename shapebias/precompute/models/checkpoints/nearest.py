"""Finds the torchvision network that a file's weights belong to, by names and shapes or by shapes alone."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from shapebias.precompute.models.architectures import torchvision_names, unset_network
from shapebias.precompute.models.checkpoints.contents import TensorGroup
from shapebias.precompute.models.checkpoints.formats import weights_for

_COMPARED = 8  # number of networks to try, with about as many parameters as the file
_NEAR = 0.7  # a near network has at least this fraction of the weights' shapes
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Nearest:
    """A torchvision network that is similar to a file.

    names_fit:  whether the file fits, apart from the number of classes
    is_same:    whether all weights have the network's shapes, apart from the classes
    common:     how many of the file's weights have the network's shapes
    weights:    how many weights (tensors with two or more axes) the file has
    """

    name: str
    names_fit: bool
    is_same: bool
    common: int
    weights: int


def nearest_architecture(groups: Sequence[TensorGroup]) -> Nearest | None:
    """Return the torchvision network with the most shapes in common with a file's largest group of tensors.

    None where no network has about 70 % of the shapes in common with it.
    """
    tensors = max(groups, key=lambda group: len(group.tensors), default=TensorGroup("", {})).tensors
    shapes = _shapes(tensors)
    if not shapes:
        return None
    best, best_share = None, _NEAR
    for name in _of_about_the_size(tensors):
        wanted = unset_network(name).state_dict()
        theirs = _shapes(wanted)
        common = (shapes & theirs).total()
        share = (common + 1) / max(shapes.total(), theirs.total())
        if share > best_share:
            best_share = share
            best = Nearest(name, _names_fit(groups, wanted), _are_same(shapes, theirs), common, shapes.total())
    return best


def _are_same(shapes: Counter[tuple[int, ...]], theirs: Counter[tuple[int, ...]]) -> bool:
    """Return whether two counts of shapes are equal, or differ only in one layer's number of outputs."""
    (own, other) = (list((one - another).elements()) for one, another in ((shapes, theirs), (theirs, shapes)))
    return not (own or other) or (len(own) == len(other) == 1 and own[0][1:] == other[0][1:])


def _shapes(tensors: Mapping[str, Tensor]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(value.shape) for value in tensors.values() if value.ndim >= 2)


def _of_about_the_size(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the eight torchvision networks with the nearest numbers of parameters, the nearest first.

    torchvision lists these numbers: no network is built.
    """
    import torchvision

    count = sum(value.numel() for name, value in tensors.items() if name.rpartition(".")[2] not in _BUFFERS)
    sizes = {
        name: next(iter(torchvision.models.get_model_weights(name))).meta["num_params"] for name in torchvision_names()
    }
    return sorted(sizes, key=lambda name: abs(math.log(max(count, 1) / sizes[name])))[:_COMPARED]


def _names_fit(groups: Sequence[TensorGroup], wanted: Mapping[str, Tensor]) -> bool:
    """Return whether a file has a network's names and shapes, for any number of classes."""
    state = weights_for(groups, wanted).state
    reshaped = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    return state.keys() == wanted.keys() and all(len(wanted[name]) == 1000 for name in reshaped)
