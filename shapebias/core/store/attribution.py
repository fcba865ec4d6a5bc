"""The attribution maps of a model as a store holds them: which pixels the model's decision came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store import schema


@dataclass(frozen=True)
class MapScores:
    """Scores that say how well the attribution maps of a model explain its decisions.

    The axes of methods and images are those of the `Attribution` that the scores belong to.

    facts:    how the scores were measured
    values:   by the score's name, float32 [methods, images]; NaN where it was not measured
    overlap:  float32 [methods, images, thresholds], from which localisation is computed (see `schema`); None where no
              objects are known
    """

    facts: schema.AttributionScores
    values: Mapping[str, NDArray[np.float32]]
    overlap: NDArray[np.float32] | None


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The attribution maps of some probe images by several methods.

    A `row` is the index of an image among these images. A method's name that is not in `methods` raises ValueError.

    images:       how the images were chosen, and which output is explained
    methods:      how each method was run, by its name, in the order of the first axis of `scale` and `gap`
    image:        int64 [images], ascending: the numbers of the probe images in the store
    target:       int32 [images], the index of the output that is explained, -1 = none
    probability:  float32 [images], the softmax probability of that output; NaN where there is none
    scale:        float32 [methods, images], the largest |value| of the map; 0 = a constant map; NaN = not measured
    gap:          float32 [methods, images], the completeness gap; NaN where the method has none
    left_out:     by name, why a requested method cannot be applied to the network
    read:         function of a method's name and a row that reads the stored map, float16 [h, w]: the map divided by
                  its scale
    scores:       how well the maps explain; None where that was not measured
    """

    images: schema.AttributionImages
    methods: Mapping[str, schema.AttributedMethod]
    image: NDArray[np.int64]
    target: NDArray[np.int32]
    probability: NDArray[np.float32]
    scale: NDArray[np.float32]
    gap: NDArray[np.float32]
    left_out: Mapping[str, str]
    read: Callable[[str, int], NDArray[np.float16]]
    scores: MapScores | None = None

    def row(self, image: int) -> int | None:
        """Return the row of the probe image with this number; None where it was not explained."""
        row = int(np.searchsorted(self.image, image))
        return row if row < len(self.image) and self.image[row] == image else None

    def scale_of(self, method: str, row: int) -> float:
        """Return the largest |value| of a map; 0 where it is constant, NaN where it was not measured."""
        return float(self.scale[self._number(method), row])

    def gap_of(self, method: str, row: int) -> float:
        """Return the completeness gap of a map: how far the sum of its values is from the value it should have, as a
        fraction of that value. NaN where the method does not promise a sum.
        """
        return float(self.gap[self._number(method), row])

    def map(self, method: str, row: int) -> NDArray[np.float32] | None:
        """Return a map, float32 [h, w], all 0 where it is constant; None where it was not measured.

        Raises StoreError where the store is damaged.
        """
        scale = self.scale[self._number(method), row]
        return None if np.isnan(scale) else self.read(method, row).astype(np.float32) * scale

    def _number(self, method: str) -> int:
        return list(self.methods).index(method)
