"""The distribution of a unit's activations over the probe images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store.reader import Store, Unit

MOST = 16_384  # most images that are read, in blocks spread over the store
_BLOCK = 1024  # images per block: a chunk of the store has as many
_EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """The histogram of a unit's activations (maxima of maps).

    counts:     int64 [bins], the number of images by activation, without those in `zeros`
    low, high:  the range: `low` is 0 or the smallest activation below it, `high` the largest activation
    zeros:      how many images have activation 0, as after a ReLU; 0 if any activation is negative
    images:     how many images were read and had a finite activation
    """

    counts: NDArray[np.int64]
    low: float
    high: float
    zeros: int
    images: int

    @property
    def bars(self) -> str:
        """The histogram as text, one character per bin."""
        return bars(self.counts)


def bars(counts: NDArray[np.int64]) -> str:
    """Return one character per count, its height in eighths of the largest count; blank for 0, at least ▁ for more.

    >>> bars(np.array([0, 1, 8]))
    ' ▁█'
    """
    top = max(int(counts.max(initial=0)), 1)
    heights = np.where(counts > 0, np.maximum(1, np.rint(8 * counts / top)), 0).astype(int)
    return "".join(_EIGHTHS[height] for height in heights)


def activation_histogram(store: Store, unit: Unit, bins: int) -> Histogram | None:
    """Return the histogram of a unit's activations over the probe images (about MOST of them at most), in `bins` parts.

    Returns None where the store has no activations of each image. Raises StoreError where the store is damaged.
    """
    if not store.layer_has(unit.model, unit.layer, "activations/max"):
        return None
    column = store.activation_column(unit, MOST, _BLOCK)
    return histogram(column, bins)


def histogram(values: NDArray[np.floating], bins: int) -> Histogram:
    """Return the histogram of a unit's activations `values`, float [images], in `bins` equal parts of their range.

    NaN and infinite values are left out. Where no value is negative, those at 0 are counted apart, in `zeros`.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    low = min(float(finite.min(initial=0.0)), 0.0)
    high = max(float(finite.max(initial=0.0)), low)
    silent = finite <= 0 if low == 0 else np.zeros(len(finite), bool)
    counts = np.histogram(finite[~silent], bins, (low, high))[0] if high > low else np.zeros(bins, np.int64)
    return Histogram(counts=counts.astype(np.int64), low=low, high=high, zeros=int(silent.sum()), images=len(finite))
