"""Intervals of fractions, such as accuracies, from counts."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from shapebias.core.uncertainty.interval import UNKNOWN, Interval

_Z = NormalDist().inv_cdf(0.975)


def wilson(successes: int, trials: int) -> Interval:
    """Return the fraction of trials that succeed and its 95 % interval by Wilson (1927); UNKNOWN without trials.

    The interval has a width even where all or none succeed.

    >>> round(wilson(5, 10).low, 3), round(wilson(5, 10).high, 3)
    (0.237, 0.763)
    """
    if not trials:
        return UNKNOWN
    share, scale = successes / trials, 1 + _Z**2 / trials
    centre = (share + _Z**2 / (2 * trials)) / scale
    half = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2)) / scale
    return Interval(share, min(centre - half, share), max(centre + half, share))


def mean_share(counts: Sequence[tuple[int, int]]) -> Interval:
    """Return the unweighted mean of fractions, given as (successes, trials), and its 95 % interval.

    The distances of the ends of Wilson's intervals are added as squares (MOVER: Zou & Donner 2008,
    doi:10.1002/sim.3095), as for independent fractions. The result is UNKNOWN where a fraction has no trials, or there
    is no fraction.
    """
    shares = [wilson(*count) for count in counts]
    if not shares or not all(share.is_known for share in shares):
        return UNKNOWN
    mean = math.fsum(share.mean for share in shares) / len(shares)
    below = math.hypot(*(share.mean - share.low for share in shares)) / len(shares)
    above = math.hypot(*(share.high - share.mean for share in shares)) / len(shares)
    return Interval(mean, mean - below, mean + above)
