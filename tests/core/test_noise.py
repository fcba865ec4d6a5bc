"""The strength of noise, and its names in distortions and metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.metrics import METRICS
from shapebias.core.noise import USUAL_NOISE, NoiseLevel, split_metric


@given(std=st.floats(0.001, 10))
def test_a_strength_has_three_names_that_are_read_again(std: float) -> None:
    level = NoiseLevel.of(std)
    assert float(str(level)) == pytest.approx(std, rel=1e-3)
    assert NoiseLevel.of_distortion(level.distortion) == level
    assert split_metric(level.metric("tv_noisy")) == ("tv_noisy", level)
    assert METRICS[level.metric("tv_shift")].name == level.metric("tv_shift")


def test_the_usual_noise_is_not_in_the_names_of_metrics() -> None:
    assert NoiseLevel.of(0.1) == USUAL_NOISE
    assert (USUAL_NOISE.distortion, USUAL_NOISE.metric("tv_noisy")) == ("noise-0.1", "tv_noisy")
    assert NoiseLevel.of(0.25).metric("tv_noisy") == "tv_noisy@0.25"


@pytest.mark.parametrize("name", ["noise-", "noise-x", "noise--1", "noise-1e3", "noise", "blur-0.1", "noise-0.1\n"])
def test_what_is_no_noise_is_no_level(name: str) -> None:
    with pytest.raises(ValueError, match="no "):
        NoiseLevel.of_distortion(name)
