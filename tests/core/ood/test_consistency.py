"""Error consistency: against Cohen's kappa from the table of counts, and by hand."""

from dataclasses import astuple
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.ood.consistency import Agreement, agreements, mean_over

OBSERVERS = st.integers(1, 60).flatmap(
    lambda images: st.tuples(*[st.lists(st.booleans(), min_size=images, max_size=images)] * 2)
)


def agreement(one: np.ndarray, other: np.ndarray) -> Agreement:
    """Return the agreement of two observers from the images that each got right (-1: not seen)."""
    return Agreement.of(agreements(np.stack([one, other]).astype(np.int8))[0, 1])


def kappa_of_counts(one: list[bool], other: list[bool]) -> float:
    """Cohen (1960): from the four counts, the share on the diagonal against that of the products of the margins."""
    table = np.zeros((2, 2))
    for row, column in zip(one, other, strict=True):
        table[int(row), int(column)] += 1
    observed = np.trace(table) / table.sum()
    expected = (table.sum(0) * table.sum(1)).sum() / table.sum() ** 2
    return 1.0 if observed == 1 else float((observed - expected) / (1 - expected))


@given(OBSERVERS)
def test_it_is_cohens_kappa_of_right_and_wrong(observers: tuple[list[bool], list[bool]]) -> None:
    one, other = observers
    agreed = agreement(np.array(one), np.array(other))
    assert agreed.error_consistency == pytest.approx(kappa_of_counts(one, other), abs=1e-12)
    assert agreed.observed == pytest.approx(sum(a == b for a, b in zip(one, other, strict=True)) / len(one))
    assert agreed.accuracy_difference == pytest.approx((sum(one) / len(one) - sum(other) / len(one)) ** 2)
    means = (pytest.approx(np.mean(one)), pytest.approx(np.mean(other)))
    assert (agreed.images, agreed.accuracy, agreed.other_accuracy) == (len(one), *means)


def test_examples_computed_by_hand() -> None:
    one, other = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 0, 1], bool)
    agreed = agreement(one, other)
    assert agreed.observed == 3 / 5
    assert agreed.expected == pytest.approx(0.6 * 0.6 + 0.4 * 0.4)
    assert agreed.error_consistency == pytest.approx((0.6 - 0.52) / 0.48)


def test_observers_that_always_agree_have_consistency_1_even_without_errors() -> None:
    for right in ([True, True], [False, False], [True, False]):
        assert agreement(np.array(right), np.array(right)).error_consistency == 1


@given(OBSERVERS, st.randoms())
def test_only_images_that_both_saw_count(observers: tuple[list[bool], list[bool]], random: Random) -> None:
    one, other = (np.array([value if random.random() < 0.7 else -1 for value in own]) for own in observers)
    both = (one >= 0) & (other >= 0)
    assert_same(agreement(one, other), agreement(one[both], other[both]))


def assert_same(one: Agreement, other: Agreement) -> None:
    np.testing.assert_allclose(astuple(one), astuple(other), rtol=1e-12, atol=1e-12)


def test_without_images_nothing_is_known() -> None:
    none = agreement(np.zeros(0), np.zeros(0))
    assert none.images == 0
    assert np.isnan(astuple(none)[1:]).all()
    assert np.isnan(mean_over(np.array([astuple(none)] * 2), np.float64(0))[1:]).all()


def test_a_mean_is_over_those_with_images_and_not_weighted() -> None:
    none, few = agreement(np.zeros(0), np.zeros(0)), agreement(np.array([1]), np.array([0]))
    many = agreement(np.ones(9), np.ones(9))
    mean = Agreement.of(mean_over(np.array([astuple(part) for part in (few, none, many)]), np.float64(10)))
    assert mean.images == 10
    assert mean.observed == 0.5
    assert mean.accuracy_difference == 0.5
    assert mean.error_consistency == (few.error_consistency + 1) / 2
