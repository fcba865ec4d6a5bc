"""How a unit's activations spread over the probe images, from what the store keeps of each image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store.reader import Store, Unit

MOST = 16_384  # images read, in blocks spread over the store
_BLOCK = 1024  # images: as many as lie together in a store
_EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """counts int64 [bins] of the activations (maxima of maps) from `low`, 0 or the smallest below it, to `high`, the
    largest. `zeros` of the `images` are not counted in them: they are at 0, a ReLU's silence."""

    counts: NDArray[np.int64]
    low: float
    high: float
    zeros: int
    images: int

    @property
    def bars(self) -> str:
        """A character a bin."""
        return bars(self.counts)


def bars(counts: NDArray[np.int64]) -> str:
    """Return a character a count, its height in eighths of the largest; blank for 0, at least ▁ for more."""
    top = max(int(counts.max(initial=0)), 1)
    heights = np.where(counts > 0, np.maximum(1, np.rint(8 * counts / top)), 0).astype(int)
    return "".join(_EIGHTHS[height] for height in heights)


def activation_histogram(store: Store, unit: Unit, bins: int) -> Histogram | None:
    """Return how a unit's activations spread over the probe images; None where the store keeps none of each image.

    Raises StoreError.
    """
    if not store.layer_has(unit.model, unit.layer, "activations/max"):
        return None
    column = store.activation_column(unit, MOST, _BLOCK)
    return histogram(column, bins)


def histogram(values: NDArray[np.floating], bins: int) -> Histogram:
    """Return the histogram of values [images]; those that are no numbers are left out."""
    known = values[np.isfinite(values)].astype(np.float64)
    low = min(float(known.min(initial=0.0)), 0.0)
    high = max(float(known.max(initial=0.0)), low)
    silent = known <= 0 if low == 0 else np.zeros(len(known), bool)
    counts = np.histogram(known[~silent], bins, (low, high))[0] if high > low else np.zeros(bins, np.int64)
    return Histogram(counts=counts.astype(np.int64), low=low, high=high, zeros=int(silent.sum()), images=len(known))
