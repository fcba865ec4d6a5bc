"""Loops on the CPU, compiled by numba, that add the reductions of maps to totals, image after image.

PyTorch would need many operations on small arrays, each of which takes longer to start than to run. Arrays of maps are
[B, C], those of totals [C]. As in Triton's kernels (`triton_sums.py`), images are added in order.
"""

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_moments(
    positions: int,
    count: Any,
    mean: Any,
    deviations: Any,
    low_count: Any,
    highest: Any,
    maximum: Any,
    nonpositive: Any,
    sums: Any,
    finite: Any,
) -> None:
    """Add moments to totals: see `operators.add_moments`."""
    for image in range(len(maximum)):
        for unit in range(len(count)):
            new = float(positions) if finite[image, unit] else 0.0
            both = count[unit] + new
            share = new / max(both, 1.0)
            apart = sums[0, image, unit] / positions - mean[unit]
            deviations[unit] += sums[1, image, unit] + apart * apart * count[unit] * share
            mean[unit] += apart * share
            count[unit] = both
            low_count[unit] += nonpositive[image, unit]
            highest[unit] = max(highest[unit], maximum[image, unit])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_variation(
    share: float, variation: Any, absolute: Any, expected: Any, maps: Any, sums: Any, finite: Any
) -> None:
    """Add variations to totals: see `operators.add_variation`."""
    for image in range(len(finite)):
        for unit in range(len(variation)):
            varied, size = sums[2, image, unit], sums[3, image, unit]
            if finite[image, unit] and varied < np.inf and size < np.inf:
                variation[unit] += varied
                absolute[unit] += size
                expected[unit] += sums[4, image, unit] * share
                maps[unit] += 1.0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_class_means(total: Any, left_out: Any, activation: Any, finite: Any, labels: Any) -> None:
    """Add activations to class sums: see `operators.add_class_means`."""
    for image in range(len(labels)):
        label = labels[image]
        if label < 0:
            continue
        for unit in range(activation.shape[1]):
            if finite[image, unit]:
                total[label, unit] += activation[image, unit]
            else:
                left_out[label, unit] += 1
