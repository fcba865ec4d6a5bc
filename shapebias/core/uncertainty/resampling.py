"""Bootstrap means, permutation tests, and Holm's correction over a family of tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000  # of an interval or a test, unless said otherwise
MOST = 100_000  # arrangements that are all gone through; where there are more, some are drawn
_AT_ONCE = 4_000_000  # values a block of resamples holds
_ROUNDING = 1e-12  # of the largest value: statistics that differ by less are equal

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Significance:
    """The two-sided p of a permutation test, the `smallest` p that so many values can reach, and whether all
    arrangements were gone through (`exact`) or some drawn."""

    p: float
    smallest: float
    exact: bool


def exchange_test(a: Floats, b: Floats, *, draws: int, random: np.random.Generator) -> Significance:
    """Test the difference of the means of two groups by dealing their values anew: mean(b) - mean(a), two-sided.

    Exact for up to MOST ways to deal; else `draws` of them, the observed one counted too (Phipson & Smyth 2010).
    NaN where a group is empty.
    """
    if not len(a) or not len(b):
        return Significance(float("nan"), float("nan"), exact=True)
    both, total = np.concatenate([a, b]), float(a.sum() + b.sum())
    ways = comb(len(both), len(b))
    exact = ways <= MOST
    dealt = _all_chosen(both, len(b), ways) if exact else _drawn(both, len(b), draws, random)
    differences = np.concatenate([chosen / len(b) - (total - chosen) / len(a) for chosen in dealt])
    sides = 2 if len(a) == len(b) else 1  # groups of one size have for every way its mirror image
    return _result(float(b.mean() - a.mean()), differences, exact, sides, float(np.abs(both).max()))


def sign_flip_test(differences: Floats, *, draws: int, random: np.random.Generator) -> Significance:
    """Test whether the mean of paired differences is 0 by flipping their signs, two-sided.

    Exact for up to MOST flips; else `draws` of them. NaN without a difference.
    """
    count = len(differences)
    if not count:
        return Significance(float("nan"), float("nan"), exact=True)
    exact = 2**count <= MOST
    every = (np.arange(2**count if exact else 0)[:, None] >> np.arange(count)) & 1
    flips = every if exact else random.integers(0, 2, (draws, count))
    means = (1 - 2 * flips) @ differences / count
    return _result(float(differences.mean()), means, exact, 2, float(np.abs(differences).max()))


def _result(observed: float, permuted: Floats, exact: bool, sides: int, scale: float) -> Significance:
    extreme = int((np.abs(permuted) >= abs(observed) - _ROUNDING * scale).sum())
    if exact:
        return Significance(extreme / len(permuted), sides / len(permuted), exact)
    return Significance((1 + extreme) / (1 + len(permuted)), 1 / (1 + len(permuted)), exact)


def _all_chosen(both: Floats, count: int, ways: int) -> Iterator[Floats]:
    """Yield the sums of all choices of `count` values, block by block."""
    choices = combinations(range(len(both)), count)
    for size in block_sizes(ways, count):
        yield both[np.array(list(islice(choices, size)), np.int64)].sum(1)


def _drawn(both: Floats, count: int, draws: int, random: np.random.Generator) -> Iterator[Floats]:
    """Yield the sums of `count` values drawn without replacement, block by block."""
    for size in block_sizes(draws, len(both)):
        yield random.permuted(np.broadcast_to(both, (size, len(both))), axis=1)[:, :count].sum(1)


def resampled_means(values: Floats, resamples: int, random: np.random.Generator) -> Floats:
    """Return the means of samples of all values with replacement, float64 [resamples]."""
    count = len(values)
    means = [values[random.integers(0, count, (size, count))].mean(1) for size in block_sizes(resamples, count)]
    return np.concatenate(means)


def resampled_columns(values: Floats, resamples: int, random: np.random.Generator) -> Floats:
    """Return the means of columns over samples of all rows with replacement, float64 [resamples, columns].

    values [rows, columns]; NaN are left out. The columns are resampled alike. NaN where a sample has no value.
    """
    rows, known = len(values), ~np.isnan(values)
    numbers, counted = np.where(known, values, 0.0), known.astype(np.float64)
    means = []
    for size in block_sizes(resamples, rows):
        drawn = random.integers(0, rows, (size, rows)) + rows * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)
        sums, counts = times @ numbers, times @ counted
        means.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
    return np.concatenate(means)


def block_sizes(samples: int, values: int) -> list[int]:
    """Return how many of the samples of so many values are made at once, block by block."""
    most = max(1, _AT_ONCE // max(values, 1))
    return [min(most, samples - start) for start in range(0, samples, most)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values of a family of tests corrected by Holm (1979), in their order; NaN stays and is no test."""
    corrected = [float("nan")] * len(p_values)
    tests = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    largest = 0.0
    for rank, (p, place) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        corrected[place] = largest
    return corrected
