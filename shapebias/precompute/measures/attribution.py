"""Where models look in some of the probe images: what attribution methods give, shard by shard."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store import schema


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """What attribution gave for a model, in the shapes of the store's schema.

    maps:  yields a method's stored maps, float16 [some images, h, w], of all images in order
    """

    methods: Sequence[schema.AttributedMethod]
    target: NDArray[np.int32]
    probability: NDArray[np.float32]
    scale: NDArray[np.float32]
    gap: NDArray[np.float32]
    maps: Callable[[str], Iterator[NDArray[np.float16]]]
