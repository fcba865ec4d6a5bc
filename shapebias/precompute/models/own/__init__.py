"""The architectures that come with the program, for `shapebias train`: one for drawings, one for photos."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from shapebias.precompute.models.own.photo_cnn import PhotoCNN
from shapebias.precompute.models.own.small_cnn import SmallCNN


@dataclass(frozen=True)
class OwnArchitecture:
    """An architecture: `build(classes)` returns an untrained network; `side` is the side of its square images in px."""

    build: Callable[[int], nn.Module]
    side: int


SMALL = "small"
OWN = {SMALL: OwnArchitecture(SmallCNN, 64), "photo": OwnArchitecture(PhotoCNN, 32)}  # by the name users write
