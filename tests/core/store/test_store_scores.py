"""Scores of attribution maps in a store: read back, and damaged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.verify import verify_store
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from tests.support.damaged_store import attributes
from tests.support.map_scores import FACTS, NAMES, add_scores

PATH = "models/Tiny/attribution/scores"


def test_scores_are_read(store_copy: Path) -> None:
    values = add_scores(store_copy)
    attribution = open_store(store_copy).attribution("Tiny")
    assert attribution is not None
    assert attribution.scores is not None
    assert list(attribution.scores.values) == list(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(attribution.scores.values[name], values[name])
    np.testing.assert_array_equal(attribution.scores.overlap, values["overlap"])
    assert attribution.scores.facts.to_attributes() == FACTS | {"scores": [*NAMES, "overlap"]}


def test_overlaps_may_be_missing(store_copy: Path) -> None:
    add_scores(store_copy)
    attributes(store_copy / PATH / "zarr.json", lambda facts: facts.update(scores=["insertion"]))
    attribution = open_store(store_copy).attribution("Tiny")
    assert attribution is not None
    assert attribution.scores is not None
    assert list(attribution.scores.values) == ["insertion"]
    assert attribution.scores.overlap is None


@pytest.mark.parametrize("change", ["unknown", "facts", "thresholds", "missing"])
def test_what_does_not_fit_is_a_damaged_store(store_copy: Path, change: str) -> None:
    add_scores(store_copy)
    file = store_copy / PATH / "zarr.json"
    if change == "unknown":
        attributes(file, lambda facts: facts["scores"].append("../x"))
    elif change == "facts":
        attributes(file, lambda facts: facts.pop("steps"))
    elif change == "thresholds":
        attributes(file, lambda facts: facts["thresholds"].pop())
    else:
        shutil.rmtree(store_copy / PATH / "mass")
    with pytest.raises(StoreError, match=r"copy\.zarr is damaged at models/Tiny/attribution/scores"):
        open_store(store_copy).attribution("Tiny")


@pytest.mark.parametrize(("name", "value"), [("insertion", 1.5), ("pointing", -1), ("overlap", 7)])
def test_verify_names_scores_that_cannot_be(store_copy: Path, name: str, value: float) -> None:
    add_scores(store_copy)
    shutil.rmtree(store_copy / "manifest")
    assert not verify_store(store_copy).wrong
    array = zarr.open_group(store_copy, mode="r+")[f"{PATH}/{name}"]
    array[(1,) * array.ndim] = value
    assert [path for path, _ in verify_store(store_copy).wrong] == [f"{PATH}/{name}"]
