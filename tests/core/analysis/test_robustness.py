"""Published networks by the strength of their training, and those of a store beside them."""

import json
from pathlib import Path

import pytest

import shapebias
from shapebias.core.analysis.robustness import (
    SETS,
    SHAPE_BIAS,
    VARIANTS,
    Strength,
    networks_of,
    parse_strengths,
    published_networks,
)
from shapebias.core.errors import UsageError
from shapebias.core.shape_bias.categories import sixteen_classes
from shapebias.core.store.opening import open_store
from tests.support.cue_conflict_store import add_cue_conflict
from tests.support.ood_store import add_set
from tests.support.shared_data import shared_data

SIXTEEN = list(sixteen_classes())


def test_the_published_networks() -> None:
    torchvision, trained = published_networks()
    assert torchvision.strengths == ()
    assert torchvision.measures["edge"] == 22 / 160, "as model-vs-human's recorded decisions of it"
    assert trained[0].strengths == (Strength("l2", 0), Strength("linf", 0))
    assert [one.strengths[0].norm for one in trained].count("l2") == 10
    assert [one.strengths[0].epsilon for one in trained if one.strengths[0].norm == "linf"] == [0.5, 1, 2, 4, 8]
    for network in (torchvision, *trained):
        assert list(network.measures) == [SHAPE_BIAS, *SETS, *VARIANTS]
        assert all(0 <= value <= 1 for value in network.measures.values())


def test_the_shipped_numbers_are_those_of_their_source() -> None:
    source = json.loads(shared_data("reference/robust-resnet50.json").read_text())
    shipped = Path(shapebias.__file__).parent / "core/reference/robust_resnet50.json"
    facts = json.loads(shipped.read_text())
    assert facts["networks"] == source["networks"]
    assert "CC BY-SA 4.0" in facts["license"]
    assert "2404.01509" in facts["source"]


@pytest.fixture
def known(store_copy: Path) -> Path:
    """Tiny decided among the sixteen categories: cue-conflict images, and edge; and for a set that is not drawn."""
    images = ["cat/cat1-dog1.png", "cat/cat2-dog1.png", "cat/cat3-dog1.png"]
    cat, dog = SIXTEEN.index("cat"), SIXTEEN.index("dog")
    add_cue_conflict(store_copy, SIXTEEN, images, shape=[cat] * 3, texture=[dog] * 3, decision=[cat, dog, dog])
    add_set(store_copy, "edge", ["cat/1.png", "dog/1.png"], ["cat", "cat"], categories=SIXTEEN)
    add_set(store_copy, "mine", ["cat/1.png"], ["cat"], categories=SIXTEEN)
    return store_copy


def test_networks_of_a_store(known: Path) -> None:
    store = open_store(known)
    [network] = networks_of(store, {})
    assert network.measures == {SHAPE_BIAS: 1 / 3, "edge": 0.5}
    assert network.strengths == ()
    [network] = networks_of(store, {"Tiny": Strength("linf", 4.0)})
    assert network.strengths == (Strength("linf", 4.0),)
    [network] = networks_of(store, {"Tiny": Strength("linf", 0.0)})
    assert network.strengths == (Strength("l2", 0.0), Strength("linf", 0.0))


def test_other_categories_are_not_compared(store_copy: Path) -> None:
    add_set(store_copy, "edge", ["cat/1.png"], ["cat"])
    assert networks_of(open_store(store_copy), {}) == []


def test_variants_are_known_by_their_names(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(known)
    counts = {"C/fog/1": 8, "C/snow/3": 4, "imagenet-r": 5, "ImageNet_V2": 6, "Sketchy": 1, "mine": 2}
    variants = [{"name": name, "labelled": 10, "correct": right} for name, right in counts.items()]
    object.__setattr__(store.models["Tiny"], "variants", variants)
    [network] = networks_of(store, {})
    assert {name: network.measures[name] for name in network.measures if name in VARIANTS} == pytest.approx(
        {"C": 0.6, "R": 0.5, "V2": 0.6}
    )


@pytest.mark.parametrize(
    ("text", "strength"),
    [
        ("Tiny=l2:3", ("l2", 3)),
        ("Tiny=l2:0.25", ("l2", 0.25)),
        ("Tiny=linf:4/255", ("linf", 4)),
        ("Tiny=linf:0.2", ("linf", 51)),
        ("Tiny=l2:0", ("l2", 0)),
    ],
)
def test_strengths(small_store: Path, text: str, strength: tuple[str, float]) -> None:
    (attack,) = parse_strengths([text], open_store(small_store)).values()
    assert (attack.norm, attack.epsilon) == (strength[0], pytest.approx(strength[1]))


@pytest.mark.parametrize("text", ["Tiny", "Tiny=3", "Tiny=l3:3", "Tiny=l2:-1", "Tiny=l2:3/255", "Tiny=l2:nan", "=l2:3"])
def test_strengths_that_were_not_measured_are_refused(small_store: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"write MODEL=NORM:EPSILON|no model"):
        parse_strengths([text], open_store(small_store))
