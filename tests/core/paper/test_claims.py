"""Whether the built-in pair shows what the paper found, from stores that say so, or not."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shapebias.core.paper import claims as module
from shapebias.core.paper.claims import ClaimVerdict, claims_of, story
from shapebias.core.shape_bias.decisions import Decisions


class FakeStore:
    """Two networks of two layers with two metrics, and decisions: `robust` has these numbers, `demo-s` 0.5 each."""

    def __init__(self, sources: tuple[str, ...], smooth: tuple[float, float], kinds: float, by_shape: int) -> None:
        self.models = {f"the {source}": SimpleNamespace(source=source) for source in sources}
        self._smooth, self._kinds, self._by_shape = smooth, kinds, by_shape

    def layers(self, model: str) -> list[str]:
        return ["conv1", "conv2"]

    def metric_names(self, model: str, layer: str) -> list[str]:
        return ["smoothness", "visual_diversity"]

    def cue_conflict(self, model: str) -> Decisions:
        by_shape = 50 if model.endswith("s") else self._by_shape
        return Decisions(
            categories=["cat", "dog"],
            images=[f"cat{row}-dog{row}.png" for row in range(100)],
            shape=np.zeros(100, np.int32),
            texture=np.ones(100, np.int32),
            decision=np.repeat(np.array([0, 1], np.int32), [by_shape, 100 - by_shape]),
        )

    def mean(self, model: str, layer: str, metric: str) -> float:
        if model.endswith("s"):
            return 0.5
        return self._smooth[["conv1", "conv2"].index(layer)] if metric == "smoothness" else self._kinds


@pytest.fixture(autouse=True)
def _plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake's means, and no dissection."""

    def summarize(store: Any, model: str, layer: str, metric: str) -> Any:
        return SimpleNamespace(mean=store.mean(model, layer, metric))

    monkeypatch.setattr(module, "summarize", summarize)
    monkeypatch.setattr(module, "shared_layers", lambda store, first, second: store.layers(first))
    monkeypatch.setattr(module, "read_concepts", lambda store: None)


def verdicts(smooth: tuple[float, float], kinds: float, by_shape: int) -> list[ClaimVerdict]:
    store: Any = FakeStore(("demo-s", "demo-r"), smooth, kinds, by_shape)
    return [claim.verdict for claim in claims_of(store, "the demo-s", "the demo-r")]


def test_each_claim_is_shown_or_not() -> None:
    assert verdicts((0.6, 0.7), 0.4, 98) == [ClaimVerdict.SHOWN] * 3
    assert verdicts((0.4, 0.4), 0.6, 2) == [ClaimVerdict.REVERSED] * 3
    assert verdicts((0.5, 0.5), 0.5, 52) == [ClaimVerdict.NOT_SHOWN] * 3, "equal networks are no reversal"
    assert verdicts((0.4, 0.7), 0.4, 52) == [ClaimVerdict.NOT_SHOWN, ClaimVerdict.IN_PART, ClaimVerdict.SHOWN]


def test_concepts_that_are_all_of_low_level_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_concepts", lambda store: SimpleNamespace(categories=["color"]))
    assert len(verdicts((0.6, 0.7), 0.4, 98)) == 3


def test_a_store_of_other_networks_has_no_story() -> None:
    for sources in (("alexnet", "resnet50"), ("demo-s",)):
        store: Any = FakeStore(sources, (0.6, 0.7), 0.4, 60)
        assert story(store) == []


def test_the_story_is_five_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {"the demo-s": {"color": 1, "texture": 1, "part": 2}, "the demo-r": {"color": 3, "object": 1}}

    def count_detectors(store: Any, concepts: Any, pairs: list[tuple[str, str]]) -> list[Any]:
        return [SimpleNamespace(detectors=shares[model]) for model, _ in pairs]

    monkeypatch.setattr(
        module, "read_concepts", lambda store: SimpleNamespace(categories=["color", "texture", "part", "object"])
    )
    monkeypatch.setattr(module, "was_dissected", lambda *_: True)
    monkeypatch.setattr(module, "count_detectors", count_detectors)
    store: Any = FakeStore(("demo-s", "demo-r"), (0.4, 0.7), 0.6, 98)
    lines = story(store)
    assert len(lines) == 5
    assert "98% of decisions by shape, not texture; 50%" in lines[1]
    assert [line.rpartition("  ")[2] for line in lines[1:]] == ["shown", "in part", "reversed", "shown"]
    assert "75% of detectors are of colours and textures; 50%" in lines[4]


def test_noise_roughens_fewer_units(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {
        ("the demo-s", "conv1"): 5,
        ("the demo-s", "conv2"): 2,
        ("the demo-r", "conv1"): 1,
        ("the demo-r", "conv2"): 2,
    }
    monkeypatch.setattr(FakeStore, "metric_names", lambda *_: ["smoothness", "tv_shift"])
    monkeypatch.setattr(module, "outliers", lambda store, model, layer, reference: np.arange(counts[model, layer]))
    store: Any = FakeStore(("demo-s", "demo-r"), (0.6, 0.7), 0.4, 98)
    claim = next(claim for claim in claims_of(store, "the demo-s", "the demo-r") if claim.name == "noise")
    assert (claim.verdict, claim.measured) == (ClaimVerdict.IN_PART, "in 1 of 2 layers; 3 units instead of 7")
