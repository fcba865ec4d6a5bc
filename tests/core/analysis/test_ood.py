"""A store's decisions for sets of stimuli: reading, summaries, and damage."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.analysis.ood import mean_accuracy, ood_accuracies, ood_decisions, ood_record
from shapebias.core.store.errors import StoreError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from tests.support.ood_store import add_set

EDGE = ["cat/1.png", "cat/2.png", "dog/1.png", "elephant/1.png"]


@pytest.fixture
def ood_store(store_copy: Path) -> Path:
    """Two sets: in `edge` 2 of 4 are right, in `contrast` 1 of 1 under a condition that counts."""
    add_set(store_copy, "edge", EDGE, ["cat", "dog", "dog", None])
    add_set(store_copy, "contrast", ["dog/1.png", "dog/2.png"], ["cat", "dog"], conditions=["c100", "c50"])
    return store_copy


def test_decisions_and_accuracies(ood_store: Path) -> None:
    store = open_store(ood_store)
    decided = ood_decisions(store, "Tiny")
    assert list(decided) == ["edge", "contrast"]
    assert decided["edge"].images == EDGE
    assert decided["edge"].right.tolist() == [True, False, True, False]
    assert (decided["edge"].conditions, decided["contrast"].conditions) == ([""] * 4, ["c100", "c50"])
    accuracies = ood_accuracies(store, "Tiny")
    assert [(one.set_name, one.images, one.accuracy, one.stimuli) for one in accuracies] == [
        ("edge", 4, 0.5, "native"),
        ("contrast", 1, 1.0, "native"),
    ]
    assert mean_accuracy(accuracies) == 0.75


def test_info_says_them(ood_store: Path, small_store: Path) -> None:
    store = open_store(ood_store)
    [model] = store_facts(store)["models"]
    assert model["ood"] == ood_record(store, "Tiny")
    assert model["ood"]["sets"]["edge"] == {"images": 4, "accuracy": 0.5, "stimuli": "native"}
    text = "OOD accuracy 0.7500: edge 0.5000 (4), contrast 1.0000 (1), native stimuli"
    assert text in store_text(store)
    assert "OOD" not in store_text(open_store(small_store))


def test_a_store_without_sets(small_store: Path) -> None:
    store = open_store(small_store)
    assert ood_decisions(store, "Tiny") == {}
    assert ood_record(store, "Tiny") is None
    assert np.isnan(mean_accuracy(ood_accuracies(store, "Tiny")))


def test_joined_stores_have_the_sets_of_each(ood_store: Path, small_store: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(ood_store, tmp_path / "other.zarr"))
    store = open_stores([small_store, other])
    assert [len(ood_decisions(store, model)) for model in store.models] == [0, 2]


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        ("images/ood", {"names": ["../x"]}),
        ("images/ood", {"names": 3}),
        ("images/ood/contrast", {"conditions": ["c100"]}),
        ("images/ood/edge", {"categories": ["cat", "dog"]}),
        ("images/ood/edge", {"categories": "cat"}),
    ],
)
def test_what_makes_no_sense_is_one_line(ood_store: Path, path: str, attributes: dict[str, object]) -> None:
    zarr.open_group(ood_store, mode="a")[path].attrs.update(attributes)
    with pytest.raises(StoreError) as error:
        ood_decisions(open_store(ood_store), "Tiny")
    assert str(error.value).isprintable()
    assert "images/ood" in str(error.value)
