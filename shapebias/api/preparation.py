"""How a network's images are prepared, as Python programs say it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.preprocessing import Preprocessing, from_pretrained_cfg, from_transform

_ORIGIN = "preprocessing="


def preparation_of(value: Any) -> Preprocessing:
    """Return what torchvision's transforms, weights (`ResNet50_Weights.DEFAULT`), or a dictionary like timm's
    `pretrained_cfg` (`input_size`, `crop_pct`, `interpolation`, `mean`, `std`; what it lacks is ImageNet's) say.

    Raises UsageError for anything else, ShapebiasError where a value makes no sense.
    """
    if isinstance(value, Preprocessing):
        return value
    if isinstance(value, Mapping):
        return replace(from_pretrained_cfg(value), origin=_ORIGIN)
    try:
        return from_transform(value.transforms() if hasattr(value, "transforms") else value, _ORIGIN)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        kind = printable(type(value).__name__, 60)
        raise UsageError(
            f"preprocessing cannot be read from a {kind}: give weights.transforms() of torchvision, or a dictionary "
            "with input_size, crop_pct, interpolation, mean and std"
        ) from error
