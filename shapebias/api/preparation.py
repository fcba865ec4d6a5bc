"""The preprocessing of a network's images, as Python programs give it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.preprocessing import Preprocessing, from_pretrained_cfg, from_transform

_ORIGIN = "preprocessing="


def preparation_of(value: Any) -> Preprocessing:
    """Return the preprocessing of a torchvision transform, of weights (`ResNet50_Weights.DEFAULT`), or of a dictionary
    like timm's `pretrained_cfg`.

    The dictionary has `input_size`, `crop_pct`, `interpolation`, `mean` and `std`; missing ones are as usual for
    ImageNet. Raises UsageError for anything else, ShapebiasError where a value makes no sense.
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
