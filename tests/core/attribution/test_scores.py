"""Areas, pointing, mass and evidence against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.attribution.scores import SCORES, areas, evidence, mass_on, points_to


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30), st.integers(0, 100))
def test_areas_are_sums_of_trapezoids(curve: list[float], seed: int) -> None:
    inner = np.sort(np.random.default_rng(seed).random(len(curve) - 2))
    fractions = np.array([0.0, *inner, 1.0])
    area = sum(
        (fractions[point + 1] - fractions[point]) * (curve[point] + curve[point + 1]) / 2
        for point in range(len(curve) - 1)
    )
    own, relative = areas(np.array([curve], np.float32), fractions)
    assert own[0] == pytest.approx(area, rel=1e-6, abs=1e-30)
    if max(curve) > 0:
        assert relative[0] == pytest.approx(area / max(curve), rel=1e-6, abs=1e-30)
    else:
        assert math.isnan(relative[0])


def test_equal_steps_give_the_area_of_the_authors_code() -> None:
    curve = np.random.default_rng(0).random(113).astype(np.float32)
    published = (curve.sum() - curve[0] / 2 - curve[-1] / 2) / 112
    assert areas(curve, np.linspace(0, 1, 113))[0] == pytest.approx(published, rel=1e-5)


def test_curves_without_numbers_have_no_area() -> None:
    own, relative = areas(np.array([[0.5, np.nan, 0.5]], np.float32), np.array([0, 0.5, 1]))
    assert math.isnan(own[0])
    assert math.isnan(relative[0])


@given(st.integers(0, 9), st.integers(0, 7), st.floats(0, 6), st.integers(0, 1000))
def test_pointing_is_a_distance_to_the_region(row: int, column: int, tolerance: float, seed: int) -> None:
    region = np.random.default_rng(seed).random((10, 8)) < 0.08
    region[0, 0] = True
    nearest = min(math.dist((row, column), (y, x)) for y in range(10) for x in range(8) if region[y, x])
    if abs(nearest - tolerance) > 1e-9:
        assert points_to((row, column), region, tolerance) == (nearest <= tolerance)
    assert points_to((row, column), region, 0) == region[row, column]


def test_mass_is_a_part_of_the_evidence() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    region = values > 9
    assert mass_on(values, region) == pytest.approx((10 + 11) / 66)
    assert mass_on(np.zeros((3, 4), np.float32), region) == pytest.approx(2 / 12)  # as if it lay everywhere alike


def test_evidence_is_what_speaks_for_the_output() -> None:
    values = np.array([[[-2.0, 1.0], [3.0, 0.0]], [[5.0, 6.0], [7.0, 9.0]]], np.float32)
    assert evidence(values, signed=True, sensitivity=False)[0].tolist() == [[0, 1], [3, 0]]
    assert evidence(values, signed=True, sensitivity=True)[0].tolist() == [[2, 1], [3, 0]]
    assert evidence(values, signed=False, sensitivity=False)[1].tolist() == [[0, 1], [2, 4]]  # RISE's offset


def test_the_registry_is_whole() -> None:
    wanted = ("insertion", "deletion", "insertion_max", "deletion_max", "pointing", "localisation", "mass")
    assert set(wanted) < set(SCORES)
    assert {name for name, score in SCORES.items() if not score.higher} == {"deletion", "deletion_max"}
    for name, score in SCORES.items():
        assert score.name == name
        assert score.formula
        assert score.source
