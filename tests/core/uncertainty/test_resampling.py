"""Permutation tests and Holm's correction: against SciPy, a brute force, and by hand."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from shapebias.core.uncertainty.resampling import (
    MOST,
    exchange_test,
    holm,
    resampled_columns,
    resampled_means,
    sign_flip_test,
)


def difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(x.mean(axis) - y.mean(axis))


@pytest.mark.parametrize(("first", "second"), [(3, 3), (4, 4), (2, 5), (1, 6), (5, 6)])
def test_exchange_is_scipys_exact_test(first: int, second: int) -> None:
    random = np.random.default_rng(first * 10 + second)
    a, b = random.normal(size=first), random.normal(0.8, size=second)
    tested = exchange_test(a, b, draws=10, random=random)
    # SciPy doubles the smaller side; two groups of one size have mirrored sides, others are compared by brute force.
    both = np.concatenate([a, b])
    dealt = [np.mean(order[first:]) - np.mean(order[:first]) for order in permutations(both)] if len(both) < 9 else []
    if dealt:
        assert tested.p == pytest.approx(np.mean(np.abs(dealt) >= abs(b.mean() - a.mean()) - 1e-12))
    if first == second:
        exact = stats.permutation_test((b, a), difference, vectorized=True, n_resamples=np.inf).pvalue
        assert tested.p == pytest.approx(exact)
    assert tested.exact


def test_exchange_of_unlike_sizes_counts_both_sides() -> None:
    random = np.random.default_rng(5)
    a, b = random.normal(size=5), random.normal(1, size=6)
    sides = [
        stats.permutation_test(
            (b, a), lambda x, y, axis: np.abs(difference(x, y, axis)), vectorized=True, n_resamples=np.inf,
            alternative="greater",
        ).pvalue
    ]  # fmt: skip
    assert exchange_test(a, b, draws=1, random=random).p == pytest.approx(sides[0])


def test_the_smallest_p_is_reached_by_groups_that_do_not_overlap() -> None:
    random = np.random.default_rng(0)
    for first, second, smallest in ((4, 4, 2 / 70), (3, 3, 2 / 20), (2, 4, 1 / 15), (1, 1, 1.0)):
        tested = exchange_test(np.arange(first) * 1.0, np.arange(second) + 100.0, draws=1, random=random)
        assert tested.p == tested.smallest == pytest.approx(smallest)
    flipped = sign_flip_test(np.array([1.0, 2.0, 4.0, 0.5, 3.0]), draws=1, random=random)
    assert flipped.p == flipped.smallest == pytest.approx(2 / 32)


def test_sign_flips_are_scipys_and_all() -> None:
    random = np.random.default_rng(3)
    differences = random.normal(0.4, size=8)
    tested = sign_flip_test(differences, draws=1, random=random)
    means = [np.mean(np.array(signs) * differences) for signs in product((1, -1), repeat=8)]
    assert tested.p == pytest.approx(np.mean(np.abs(means) >= abs(differences.mean()) - 1e-12))
    exact = stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True, n_resamples=np.inf
    ).pvalue
    assert tested.p == pytest.approx(exact)


def test_too_many_arrangements_are_drawn() -> None:
    random = np.random.default_rng(4)
    a, b = random.normal(size=14), random.normal(0.7, size=14)  # 40 million ways
    tested = exchange_test(a, b, draws=20_000, random=np.random.default_rng(0))
    assert not tested.exact
    assert tested.p == pytest.approx(
        stats.permutation_test((b, a), difference, vectorized=True, rng=0).pvalue, abs=0.01
    )
    assert tested.smallest == 1 / 20_001
    flips = sign_flip_test(random.normal(0.5, size=20), draws=5000, random=random)
    assert not flips.exact
    assert MOST < 2**20


def test_nothing_to_test() -> None:
    random = np.random.default_rng(0)
    assert np.isnan(exchange_test(np.zeros(0), np.ones(3), draws=1, random=random).p)
    assert np.isnan(sign_flip_test(np.zeros(0), draws=1, random=random).p)
    assert exchange_test(np.ones(3), np.ones(3), draws=1, random=random).p == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, float("nan"), 0.7])[::2] == pytest.approx([1.0, 1.0])
    assert np.isnan(holm([0.6, float("nan"), 0.7])[1])
    assert holm([]) == []


def test_bootstrap_means_spread_as_the_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=400)
    means = resampled_means(values, 5000, np.random.default_rng(2))
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_columns_are_resampled_alike_without_missing_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((40, 3))
    values[5:9, 1] = np.nan
    values[:, 2] = np.nan
    means = resampled_columns(values, 4000, np.random.default_rng(1))
    assert means.shape == (4000, 3)
    drawn = np.random.default_rng(1).integers(0, 40, (4000, 40))
    np.testing.assert_allclose(means[:, 0], values[drawn, 0].mean(1))
    np.testing.assert_allclose(means[:, 1], np.nanmean(values[drawn, 1], axis=1))
    assert np.isnan(means[:, 2]).all()
