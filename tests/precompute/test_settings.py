"""Settings name passes, noise and distortions that exist."""

import math
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.attribution.choice import parse_choices
from shapebias.core.errors import UsageError
from shapebias.core.metrics import in_order
from shapebias.precompute import settings as settings_module
from shapebias.precompute.images.distort import parse_distortion
from shapebias.precompute.settings import PASSES, Settings, check_gpu, parse_passes


def settings(**changes: object) -> Settings:
    return Settings(models=[], images="images", store=Path("store"), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("all", ("noise", "sensitivity", "distortions", "dissection")),
        ("all,ablation,attribution", tuple(PASSES)),
        ("none", ()),
        ("", ()),
        ("sensitivity, noise", ("noise", "sensitivity")),
        ("distortions,distortions,", ("distortions",)),
    ],
)
def test_passes(text: str, passes: tuple[str, ...]) -> None:
    assert parse_passes(text) == passes
    assert settings(passes=passes, cue_conflict="stimuli").passes == passes


@pytest.mark.parametrize("text", ["noises", "noise\x1b", "noise sensitivity"])
def test_passes_that_there_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=f"there are {', '.join(PASSES)}, or all, or none") as error:
        parse_passes(text)
    assert "\x1b" not in str(error.value)
    with pytest.raises(UsageError, match="no pass"):
        settings(passes=(text,))


@pytest.mark.parametrize("std", [-0.1, 0, 1e-4, 11, math.nan, math.inf, -math.inf])
def test_noise_that_makes_no_sense(std: float) -> None:
    with pytest.raises(UsageError, match="--noise-std"):
        settings(noise_std=(0.1, std))


@given(st.floats(0.001, 10))
def test_any_noise_is_a_distortion_and_has_its_metrics(std: float) -> None:
    (name,) = settings(noise_std=(std,), passes=("noise",)).noises
    distortion = parse_distortion(name)
    assert (distortion.kind, distortion.strength) == ("noise", pytest.approx(std, rel=1e-3))
    metric = f"tv_noisy@{name.removeprefix('noise-')}"
    assert in_order([metric]) == [metric]


def test_noise_is_wanted_by_its_pass_and_once() -> None:
    assert settings(noise_std=(0.2, 0.1, 0.2), passes=("noise",)).noises == ("noise-0.2", "noise-0.1")
    assert settings(noise_std=(0.2,), passes=("distortions",)).noises == ()


def test_distortions_that_there_are_none() -> None:
    assert settings(distortions=("silhouette", "shuffle-8")).distortions == ("silhouette", "shuffle-8")
    with pytest.raises(UsageError, match="no distortion shufle"):
        settings(distortions=("grey", "shufle"))


def test_attribution_is_part_of_what_a_run_is_where_it_is_wanted() -> None:
    chosen = parse_choices("rise:masks=10")
    wanted = settings(passes=("attribution",), attribution=chosen, attribution_images=3, attribution_target="label")
    facts = wanted.identity()
    assert facts["attribution"] == [chosen[0].to_attributes()]
    assert (facts["attribution_images"], facts["attribution_target"]) == (3, "label")
    assert (facts["attribution_steps"], facts["boxes"]) == (112, None)
    assert pickle.loads(pickle.dumps(wanted)) == wanted
    assert "attribution" not in settings(attribution=chosen).identity()
    with pytest.raises(UsageError, match="no --attribution-target best: there are predicted, label"):
        settings(attribution_target="best")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "cuda:1"}, "--device cuda:1 cannot be used here: no NVIDIA driver was found"),
        ({"precision": "tf32"}, "--precision tf32 needs a GPU"),
        ({"decode": "gpu"}, "--decode gpu needs an NVIDIA GPU"),
    ],
)
def test_what_needs_a_gpu(changes: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "_has_driver", lambda: True)
    check_gpu(settings(**changes))
    monkeypatch.setattr(settings_module, "_has_driver", lambda: False)
    check_gpu(settings())
    check_gpu(settings(**changes, engine="ray"))
    with pytest.raises(UsageError, match=said):
        check_gpu(settings(**changes))
