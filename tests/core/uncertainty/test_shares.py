"""Intervals of shares against SciPy, and by what they promise: coverage."""

import numpy as np
import pytest
from scipy import stats

from shapebias.core.uncertainty.interval import UNKNOWN
from shapebias.core.uncertainty.shares import mean_share, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (1, 1), (3, 160), (87, 160), (999, 1000)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    share = wilson(successes, trials)
    assert share.mean == successes / trials
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= share.low <= share.mean <= share.high <= 1


def test_the_mean_of_one_share_is_the_share() -> None:
    one = mean_share([(57, 160)])
    assert (one.mean, one.low, one.high) == pytest.approx((57 / 160, wilson(57, 160).low, wilson(57, 160).high))


def test_the_mean_is_not_weighted_and_its_interval_covers() -> None:
    assert mean_share([(1, 2), (100, 100)]).mean == 0.75
    rng = np.random.default_rng(0)
    truth, trials = np.array([0.3, 0.9, 0.6]), np.array([160, 80, 40])
    drawn = rng.binomial(trials, truth, (2000, 3))
    intervals = [mean_share(list(zip(counts.tolist(), trials.tolist(), strict=True))) for counts in drawn]
    covered = np.mean([own.low <= truth.mean() <= own.high for own in intervals])
    assert 0.93 < covered < 0.97


def test_without_trials_nothing_is_known() -> None:
    assert wilson(0, 0) is UNKNOWN
    assert mean_share([]) is UNKNOWN
    assert mean_share([(3, 4), (0, 0)]) is UNKNOWN
    assert str(UNKNOWN) == "–"
    assert UNKNOWN.to_record() == {"mean": None, "low": None, "high": None}
