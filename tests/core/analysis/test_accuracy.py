"""Accuracies from decisions that are written into a store by hand."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from shapebias.core.analysis.accuracy import (
    Accuracy,
    accuracies,
    at_least,
    distorted_decisions,
    is_better_than,
    is_near_chance,
)
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store

IMAGES = 50


def write(store: Path, path: str, values: np.ndarray, **attributes: object) -> None:
    root = zarr.open_group(store, mode="a")
    root.create_array(path, data=values, overwrite=True)
    if attributes:
        root[str(Path(path).parent)].attrs.update(attributes)


def decisions(right: int, target: np.ndarray) -> np.ndarray:
    """The first `right` images as they should be, the others not."""
    return np.where(np.arange(IMAGES) < right, target, target + 1).astype(np.int32)


@pytest.fixture
def two_models(store_copy: Path) -> Path:
    """Tiny: images 0 to 29 right; Two: 0 to 19 right. Images 40 to 49 have no class that they know."""
    target = np.where(np.arange(IMAGES) < 40, np.arange(IMAGES) % 7, -1).astype(np.int32)
    shutil.copytree(store_copy / "models/Tiny", store_copy / "models/Two")
    facts = json.loads((store_copy / "zarr.json").read_text())
    facts["attributes"]["models"] = ["Tiny", "Two"]
    (store_copy / "zarr.json").write_text(json.dumps(facts))
    facts = json.loads((store_copy / "models/Two/zarr.json").read_text())
    facts["attributes"]["label"] = "Two"
    facts["attributes"]["variants"] = [
        {"name": "C/fog/1", "images": 9, "labelled": 8, "correct": 2, "skipped": 1},
        {"name": "empty", "images": 3, "labelled": 0, "correct": 0, "skipped": 0},
    ]
    (store_copy / "models/Two/zarr.json").write_text(json.dumps(facts))
    for model, right in (("Tiny", 30), ("Two", 20)):
        write(store_copy, f"models/{model}/decision", decisions(right, target))
        write(store_copy, f"models/{model}/target", target)
    grey = decisions(10, target)
    silhouette = np.where(np.arange(IMAGES) % 2, -1, decisions(30, target)).astype(np.int32)
    write(store_copy, "models/Tiny/distortions/grey", grey)
    write(store_copy, "models/Tiny/distortions/silhouette", silhouette, names=["silhouette", "grey"])
    attacks = [{"norm": "l2", "epsilon": 3.0}, {"norm": "linf", "epsilon": 1 / 255}]
    right = np.arange(IMAGES) < np.array([[4], [16]])
    write(store_copy, "models/Tiny/adversarial/right", right.astype(np.uint8), attacks=attacks)
    return store_copy


def accuracy(model: str, kind: str, condition: str, fraction: float, images: int) -> Accuracy:
    return Accuracy(model=model, kind=kind, condition=condition, accuracy=fraction, images=images)


def test_every_accuracy_of_a_store(two_models: Path) -> None:
    rows = accuracies(open_store(two_models))
    assert rows[:-1] == [
        accuracy("Tiny", "clean", "clean", 30 / 40, 40),
        accuracy("Tiny", "distortion", "silhouette", 15 / 20, 20),
        accuracy("Tiny", "distortion", "grey", 10 / 40, 40),
        accuracy("Tiny", "attack", "l2 3", 4 / 40, 40),
        accuracy("Tiny", "attack", "linf 0.003922", 16 / 40, 40),
        accuracy("Two", "clean", "clean", 20 / 40, 40),
        accuracy("Two", "variant", "C/fog/1", 2 / 8, 8),
    ]
    assert (rows[-1].condition, rows[-1].images) == ("empty", 0)
    assert math.isnan(rows[-1].accuracy)


def test_only_images_that_all_models_get_right(two_models: Path) -> None:
    assert accuracies(open_store(two_models), all_right=True) == [
        accuracy("Tiny", "clean", "clean", 1, 20),
        accuracy("Tiny", "distortion", "silhouette", 1, 10),
        accuracy("Tiny", "distortion", "grey", 10 / 20, 20),
        accuracy("Tiny", "attack", "l2 3", 4 / 20, 20),
        accuracy("Tiny", "attack", "linf 0.003922", 16 / 20, 20),
        accuracy("Two", "clean", "clean", 1, 20),
    ]


def test_a_model_without_decisions_has_no_accuracy(two_models: Path) -> None:
    shutil.rmtree(two_models / "models/Two/decision")
    rows = accuracies(open_store(two_models), all_right=True)
    assert {row.model for row in rows} == {"Tiny"}
    assert rows[0] == accuracy("Tiny", "clean", "clean", 1, 30)


def test_models_that_get_no_image_right_together(two_models: Path) -> None:
    write(two_models, "models/Two/decision", np.full(IMAGES, 9, np.int32))
    rows = accuracies(open_store(two_models), all_right=True)
    assert all(math.isnan(row.accuracy) and row.images == 0 for row in rows)
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        ("distortions", {"names": "grey"}),
        ("distortions", {"names": ["grey", "\x1b[31m"]}),
        ("distortions", {"names": ["grey", "none"]}),
        ("adversarial", {"attacks": [{"norm": "l2"}]}),
        ("adversarial", {"attacks": [{"norm": "l2", "epsilon": "large"}] * 2}),
        ("adversarial", {"attacks": [{"norm": "l2", "epsilon": 1.0}]}),
        ("", {"variants": [{"name": "C"}]}),
    ],
)
def test_damage_is_named(two_models: Path, path: str, attributes: dict[str, object]) -> None:
    zarr.open_group(two_models, mode="a")[f"models/Tiny/{path}".rstrip("/")].attrs.update(attributes)
    with pytest.raises(StoreError) as error:
        accuracies(open_store(two_models))
    assert str(error.value).isprintable()


def test_decisions_of_another_number_of_images_are_damage(two_models: Path) -> None:
    write(two_models, "models/Tiny/distortions/grey", np.zeros(IMAGES - 1, np.int32))
    with pytest.raises(StoreError):
        distorted_decisions(open_store(two_models), "Tiny")


@settings(deadline=None)
@given(st.integers(0, 300), st.floats(0.001, 0.999), st.data())
def test_binomial_tails_are_scipys(trials: int, probability: float, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials + 1))
    expected = binom.sf(successes - 1, trials, probability)
    assert at_least(successes, trials, probability) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("right", "images", "outputs", "near"),
    [
        (50, 50_000, 1000, True),
        (200, 50_000, 1000, False),
        (2, 100, 1000, False),
        (1, 100, 1000, True),
        (0, 11, 1000, True),
        (0, 10, 1000, False),
        (0, 49, 10, True),
        (30, 60, 2, True),
        (45, 60, 2, False),
        (200, 1000, 10, True),
        (300, 1000, 10, False),
        (0, 0, 10, False),
    ],
)
def test_near_chance_as_soon_as_the_images_say_so(right: int, images: int, outputs: int, near: bool) -> None:
    assert is_near_chance(right, images, 1 / outputs) == near


def test_shares_beyond_chance_are_certainly_better() -> None:
    assert is_better_than(12, 48, 0.001)
    assert not is_better_than(1, 48, 0.001)
    assert not is_better_than(30, 48, 0.5)
    assert not is_better_than(48, 48, 1.0)
