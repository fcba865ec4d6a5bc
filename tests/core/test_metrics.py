"""The registry of metrics, and the numbers as they are shown."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.metrics import METRICS, in_order


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
    text = metric.format(value)
    assert len(text) <= 8
    assert math.isclose(float(text), value, rel_tol=0.1, abs_tol=0.0006)


@pytest.mark.parametrize("name", ["max", "mean", "q995", "std"])
@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False, width=32))
def test_positive_numbers_take_7_characters_at_most(name: str, value: float) -> None:
    assert len(METRICS[name].format(value)) <= 7


@pytest.mark.parametrize("name", ["concept_diversity", "shape_score", "texture_score"])
@given(value=st.integers(0, 2**24))
def test_counts_are_whole_numbers(name: str, value: int) -> None:
    text = METRICS[name].format(float(np.float32(value)))
    assert text == str(value) or value >= 10_000_000
    assert len(text) <= METRICS[name].width


def test_a_metric_under_noise_of_another_strength() -> None:
    metric = METRICS["tv_noisy@0.25"]
    assert (metric.name, metric.title) == ("tv_noisy@0.25", "TV-noisy@0.25")
    assert metric.format(1.5) == METRICS["tv_noisy"].format(1.5)
    assert "tv_noisy@0.25" not in METRICS, "they are not among those that are listed"
    for name in ("tv@", "tv@x", "tv@1e3", "tv@0.1@0.1", "nothing@0.1", "@0.1", "tv@-1", "tv@٣", "nothing"):
        with pytest.raises(KeyError):
            METRICS[name]


def test_names_in_the_registrys_order() -> None:
    names = ["smoothness", "tv_shift@0.2", "nothing", "tv_noisy@0.2", "tv_noisy@", "max", "tv_noisy", "nothing@0.1"]
    names_in_order = in_order([*names, "tv_noisy@x", "max@\x1b"])
    assert names_in_order == ["smoothness", "max", "tv_noisy", "tv_noisy@0.2", "tv_shift@0.2"]
    assert in_order(reversed(METRICS)) == list(METRICS)


def test_names_in_sentences() -> None:
    assert METRICS["class_diversity"].in_words == "class diversity"
    assert METRICS["color_sensitivity"].in_words == "colour sensitivity"
    assert METRICS["tv_noisy@0.2"].in_words == "TV noisy@0.2"
