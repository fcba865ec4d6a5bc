"""Bootstrap means, permutation tests, and Holm's correction for several tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000  # number of resamples for an interval or a test, unless the caller says otherwise
MOST = 100_000  # largest number of arrangements that are all tested; of more, a random sample is tested
_AT_ONCE = 4_000_000  # number of values in memory at once
_ROUNDING = 1e-12  # fraction of the largest value: statistics that differ by less count as equal

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Significance:
    """The result of a permutation test.

    p:         the two-sided p value; NaN where there are no values
    smallest:  the smallest p that a test of this number of values (or draws) can give; NaN as `p`
    exact:     whether all arrangements were tested, not a random sample
    """

    p: float
    smallest: float
    exact: bool


def exchange_test(a: Floats, b: Floats, *, draws: int, random: np.random.Generator) -> Significance:
    """Test the difference of the means of two groups, mean(b) - mean(a), two-sided, by exchanging values between them.

    a and b hold finite values. The test is exact for up to MOST arrangements; else it has `draws` random ones, and the
    observed one counts too (Phipson & Smyth 2010). p is NaN where a group is empty.

    >>> exchange_test(np.array([1.0, 2, 3]), np.array([7.0, 8, 9]), draws=99, random=np.random.default_rng(0)).p
    0.1
    """
    if not len(a) or not len(b):
        return Significance(float("nan"), float("nan"), exact=True)
    both, total = np.concatenate([a, b]), float(a.sum() + b.sum())
    ways = comb(len(both), len(b))
    exact = ways <= MOST
    dealt = _all_chosen(both, len(b), ways) if exact else _drawn(both, len(b), draws, random)
    differences = np.concatenate([chosen / len(b) - (total - chosen) / len(a) for chosen in dealt])
    sides = 2 if len(a) == len(b) else 1  # for groups of equal size every arrangement has a mirror image
    return _result(float(b.mean() - a.mean()), differences, exact, sides, float(np.abs(both).max()))


def sign_flip_test(differences: Floats, *, draws: int, random: np.random.Generator) -> Significance:
    """Test whether the mean of paired differences is 0 by flipping their signs, two-sided.

    The differences are finite. The test is exact for up to MOST ways to choose the signs; else it has `draws` random
    ones, and the observed one counts too. p is NaN without differences.
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
    """Yield the sums of all choices of `count` of the values `both`, float64 [choices] block by block.

    There are `ways` choices.
    """
    choices = combinations(range(len(both)), count)
    for size in block_sizes(ways, count):
        yield both[np.array(list(islice(choices, size)), np.int64)].sum(1)


def _drawn(both: Floats, count: int, draws: int, random: np.random.Generator) -> Iterator[Floats]:
    """Yield the sums of `count` values drawn from `both` without replacement, float64 [draws] block by block."""
    for size in block_sizes(draws, len(both)):
        yield random.permuted(np.broadcast_to(both, (size, len(both))), axis=1)[:, :count].sum(1)


def resampled_means(values: Floats, resamples: int, random: np.random.Generator) -> Floats:
    """Return the means of bootstrap samples of `values`, float64 [resamples].

    A sample has as many values as there are (at least one), drawn with replacement.
    """
    count = len(values)
    means = [values[random.integers(0, count, (size, count))].mean(1) for size in block_sizes(resamples, count)]
    return np.concatenate(means)


def resampled_columns(values: Floats, resamples: int, random: np.random.Generator) -> Floats:
    """Return the means of each column over bootstrap samples of the rows, float64 [resamples, columns].

    values [rows, columns] may be NaN: these are left out, and a mean is NaN where a sample has no other value in the
    column. A sample has as many rows as there are (at least one), drawn with replacement, the same for all columns.
    """
    rows, is_defined = len(values), ~np.isnan(values)
    numbers, counted = np.where(is_defined, values, 0.0), is_defined.astype(np.float64)
    means = []
    for size in block_sizes(resamples, rows):
        drawn = random.integers(0, rows, (size, rows)) + rows * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)
        sums, counts = times @ numbers, times @ counted
        means.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
    return np.concatenate(means)


def block_sizes(samples: int, values: int) -> list[int]:
    """Return the sizes of the blocks in which `samples` samples of `values` values each are handled.

    Their sum is `samples`. No block holds more than _AT_ONCE values, unless a single sample does.
    """
    most = max(1, _AT_ONCE // max(values, 1))
    return [min(most, samples - start) for start in range(0, samples, most)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values of several tests corrected by Holm (1979), in the same order.

    NaN stays NaN and does not count as a test.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [float("nan")] * len(p_values)
    tests = sorted((p, index) for index, p in enumerate(p_values) if p == p)
    largest = 0.0
    for rank, (p, index) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        corrected[index] = largest
    return corrected
