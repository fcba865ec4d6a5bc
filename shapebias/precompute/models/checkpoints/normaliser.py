"""The mean and standard deviation of pixels that a file stores as buffers of a module in front of the network."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable

Values = tuple[float, ...]

_PAIRS = (("new_mean", "new_std"), ("mean", "std"), ("mu", "sigma"), ("pixel_mean", "pixel_std"), ("_mean", "_std"))
_MEANS = tuple(mean for mean, _ in _PAIRS)


@dataclass(frozen=True)
class Normaliser:
    """The normaliser of a file.

    mean, std:  3 floats each, of RGB in [0, 1]; None where the file has none
    names:      the names of its tensors in the file, its copies' among them
    notes:      lines for the user
    """

    mean: Values | None = None
    std: Values | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_normaliser(rest: Mapping[str, Tensor]) -> Normaliser:
    """Return the normaliser in `rest`, the tensors of a file that do not belong to the network.

    Means above 1 are for pixels from 0 to 255: mean and std are divided by 255. Raises ShapebiasError for values that
    make no sense.
    """
    means = [name for name, value in rest.items() if _last(name) in _MEANS and value.numel() == 3]
    pairs = [(name, _partner(name)) for name in means]
    whole = [(mean, std) for mean, std in pairs if std in rest]
    if not whole:
        if not means:
            return Normaliser()
        note = f"the file holds a mean of pixels ({printable(means[0], 60)}) but no std: say preprocess= if it was used"
        return Normaliser(names=tuple(means), notes=(note,))
    mean, std = min(whole, key=lambda pair: (pair[0].startswith("attacker."), len(pair[0])))
    names = tuple(name for pair in whole for name in pair)
    return Normaliser(*_values(rest[mean], rest[std]), names)


def own_normaliser(missing: Iterable[str], wanted: Mapping[str, Tensor]) -> set[str]:
    """Return which of the missing names are the mean and std that the network itself has."""
    lasts = [name for pair in _PAIRS for name in pair]
    return {name for name in missing if _last(name) in lasts and wanted[name].numel() == 3}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _partner(name: str) -> str:
    return name.removesuffix(_last(name)) + dict(_PAIRS)[_last(name)]


def _values(mean: Tensor, std: Tensor) -> tuple[Values, Values]:
    means, stds = (tuple(value.flatten().to(torch.float64).tolist()) for value in (mean, std))
    if not (len(means) == len(stds) == 3 and all(map(math.isfinite, means + stds)) and min(stds) > 0):
        raise ShapebiasError(
            "the checkpoint's normaliser is unusable: its mean and std are not three finite numbers each"
        )
    if max(means) > 1:
        return tuple(value / 255 for value in means), tuple(value / 255 for value in stds)
    return means, stds
