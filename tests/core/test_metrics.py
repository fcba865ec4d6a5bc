"""The registry of metrics, and the numbers as they are shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.metrics import METRICS


def test_names_are_unique_and_every_entry_is_filled_in() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert name.isidentifier()
        assert metric.title
        assert metric.formula
        assert metric.low
        assert metric.high
        assert metric.source
        assert metric.range[0] < metric.range[1]


@pytest.mark.parametrize("name", list(METRICS))
def test_undefined_is_a_dash(name: str) -> None:
    assert METRICS[name].format(math.nan) == "–"


@pytest.mark.parametrize("name", list(METRICS))
@given(value=st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_is_short_and_near(name: str, value: float) -> None:
    metric = METRICS[name]
    value = min(max(value, metric.range[0]), metric.range[1])
    shown = metric.format(value)
    assert len(shown) <= 8
    assert math.isclose(float(shown), value, rel_tol=0.1, abs_tol=0.0006)


@pytest.mark.parametrize("name", ["max", "mean", "q995", "std"])
@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False, width=32))
def test_positive_numbers_take_7_characters_at_most(name: str, value: float) -> None:
    assert len(METRICS[name].format(value)) <= 7
