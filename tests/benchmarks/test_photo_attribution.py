"""The page on the pairs of photos compares how much attribution maps of two kinds of networks say."""

import pytest

from benchmarks import photo_attribution
from benchmarks.photo_attribution import GAINED, Gain, attribution_claims, gains
from shapebias.core.analysis.explainability import Explained
from shapebias.core.attribution.scores import SCORES
from shapebias.core.paper.claims import ClaimVerdict
from shapebias.core.uncertainty.interval import UNKNOWN, Interval

GROUPS = (["s0", "s1", "s2"], ["r0", "r1", "r2"])


def explained_row(model: str, method: str, family: str, insertion: float, deletion: float) -> Explained:
    scores = dict.fromkeys(SCORES, UNKNOWN)
    scores |= {name: Interval(value, value, value) for name, value in zip(GAINED, (insertion, deletion), strict=True)}
    return Explained(
        model=model, method=method, family=family, images=9, constant=0, objects=0, scores=scores, thresholds=()
    )


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> object:
    """Stand for a store where robust networks gain more by the gradient, and less by Grad-CAM."""
    rows = []
    for number, (standard, robust) in enumerate(zip(*GROUPS, strict=True)):
        for model, by_gradient, by_cam in ((standard, 0.1, 0.3), (robust, 0.2, 0.1)):
            base = 0.5 + number / 100
            rows += [
                explained_row(model, "random", "control", base, base),
                explained_row(model, "gradient", "gradient", base + by_gradient, base - by_gradient),
                explained_row(model, "grad-cam", "cam", base + by_cam, base - by_cam),
            ]
    monkeypatch.setattr(photo_attribution, "explained", lambda store: rows)
    return object()


def test_a_gain_is_over_random_maps_and_lower_deletion_is_better(store: object) -> None:
    by_cell: dict[tuple[str, str], Gain] = {(gain.method, gain.score): gain for gain in gains(store, GROUPS)}  # type: ignore[arg-type]
    assert list(by_cell) == [(method, score) for method in ("gradient", "grad-cam") for score in GAINED]
    for score in GAINED:
        gain = by_cell["gradient", score]
        assert gain.values == (pytest.approx([0.1] * 3), pytest.approx([0.2] * 3))
        assert gain.p == pytest.approx(0.1)
        assert gain.p_holm == pytest.approx(0.4)
        assert gain.separation == 1
        assert by_cell["grad-cam", score].separation == -1


def test_the_claims_of_the_study_are_held_against_the_gains(store: object) -> None:
    gradients, cams = attribution_claims(store, GROUPS)  # type: ignore[arg-type]
    assert f"explain it better: **{ClaimVerdict.SHOWN}**" in gradients
    assert "more on `random` with 1 of 1 methods, less with 0" in gradients
    assert f"do not explain it better: **{ClaimVerdict.SHOWN}**" in cams
    swapped = (GROUPS[1], GROUPS[0])
    gradients, cams = attribution_claims(store, swapped)  # type: ignore[arg-type]
    assert f"**{ClaimVerdict.REVERSED}**" in gradients
    assert f"**{ClaimVerdict.REVERSED}**" in cams
