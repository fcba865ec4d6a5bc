"""The three criteria: their values against a plain computation, what is missing, who is whose twin, and the table."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import zarr
from scipy import stats

from shapebias.core.analysis.criteria import criteria, criteria_notes, criteria_rows, pairs_of, parse_pairs
from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.analysis.explainability import explained
from shapebias.core.errors import UsageError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from tests.support.attribution_store import METHODS
from tests.support.map_scores import MANY, add_scores
from tests.support.ood_store import add_set

IMAGES = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]


@pytest.fixture
def whole(store_copy: Path) -> Path:
    """A store with all three criteria: in `edge` 3 of 4 are right, in `silhouette` 2 of 4."""
    add_set(store_copy, "edge", IMAGES, ["cat", "cat", "cat", "dog"])
    add_set(store_copy, "silhouette", IMAGES, ["cat", "dog", "cat", "dog"])
    add_scores(store_copy)
    return store_copy


def test_values_are_plain_means(whole: Path) -> None:
    root = zarr.open_group(whole, mode="r")
    known = criteria(open_store(whole))
    [tiny] = known.networks
    decision, target = (np.asarray(root[f"models/Tiny/{name}"]) for name in ("decision", "target"))
    assert tiny.accuracy.mean == pytest.approx((decision == target).mean())
    right = int((decision == target).sum())
    interval = stats.binomtest(right, len(target)).proportion_ci(method="wilson")
    assert (tiny.accuracy.low, tiny.accuracy.high) == pytest.approx((interval.low, interval.high))
    assert (known.sets, tiny.ood.mean) == (("edge", "silhouette"), (3 / 4 + 2 / 4) / 2)
    assert tiny.ood.low < 0.625 < tiny.ood.high
    values = np.asarray(root["models/Tiny/attribution/scores/insertion_max"])
    for number, (method, (family, *_)) in enumerate(METHODS.items()):
        assert known.methods[family] == (method,)
        assert tiny.explainability[family].mean == pytest.approx(np.nanmean(values[number]), rel=1e-6)
    assert list(known.methods) == ["gradient", "perturbation", "cam", "control"]
    assert known.missing == ()


def _with_families(store: Path, families: dict[str, str]) -> None:
    group = zarr.open_group(store, mode="a")["models/Tiny/attribution"]
    methods = group.attrs["methods"]
    group.attrs["methods"] = [  # type: ignore[misc]
        {**method, "family": families.get(method["name"], method["family"])}  # type: ignore[index, dict-item, union-attr]
        for method in methods  # type: ignore[union-attr]
    ]


def test_a_family_is_the_mean_of_its_methods_and_resampled_as_one(whole: Path) -> None:
    _with_families(whole, {"rise": "gradient"})
    known = criteria(open_store(whole), "mass")
    values = np.asarray(zarr.open_group(whole, mode="r")["models/Tiny/attribution/scores/mass"])[:2].astype(float)
    assert known.methods["gradient"] == ("gradient", "rise")
    gradient = known.networks[0].explainability["gradient"]
    assert gradient.mean == pytest.approx(np.nanmean(values, axis=1).mean())
    by_image = values[:, ~np.isnan(values).any(0)].mean(0)
    interval = stats.bootstrap((by_image,), np.mean, method="percentile", rng=0).confidence_interval
    spread = by_image.std() / math.sqrt(len(by_image))
    assert (gradient.low, gradient.high) == pytest.approx((interval.low, interval.high), abs=0.4 * spread)


def test_networks_are_compared_by_the_criteria_that_all_have(whole: Path, tmp_path: Path) -> None:
    """Only the sets that all networks decided and the methods that all have are compared."""
    other = Path(shutil.copytree(whole, tmp_path / "other.zarr"))
    add_set(whole, "sketch", IMAGES, ["cat", "cat", "dog", "dog"])
    _with_families(whole, {"rise": "gradient"})
    known = criteria(open_stores([whole, other]))
    assert known.sets == ("edge", "silhouette")
    assert [network.ood.mean for network in known.networks] == [0.625, 0.625]
    assert known.methods["gradient"] == ("gradient",)
    first, second = (network.explainability for network in known.networks)
    assert first["gradient"] == second["gradient"]
    assert (set(second) - set(first), known.methods["perturbation"]) == ({"perturbation"}, ("rise",))


def test_a_family_without_a_method_of_all_is_said(whole: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(whole, tmp_path / "other.zarr"))
    _with_families(other, {"rise": "gradient", "gradient": "perturbation"})
    known = criteria(open_stores([whole, other]))
    assert list(known.methods) == ["cam", "control"]
    assert known.missing[0] == "no explainability by gradient methods: the models have no such method in common"
    assert all(list(network.explainability) == ["cam", "control"] for network in known.networks)


def test_what_is_missing_is_said_and_is_not_0(small_store: Path, whole: Path) -> None:
    bare = criteria(open_store(small_store))
    assert not bare.has_more
    assert bare.missing == (
        "no accuracy out of distribution: precompute it with --ood NAME=IMAGES",
        "no explainability (insertion / max): precompute it with --passes attribution",
    )
    assert math.isnan(bare.networks[0].ood.mean)
    both = criteria(open_stores([small_store, whole]))
    assert both.missing[0] == "no accuracy out of distribution of Tiny: precompute it with --ood NAME=IMAGES"
    assert both.networks[0].explainability == {}
    assert [row[2] for row in criteria_rows(both)][1] == "–"
    json.dumps(both.to_record(), allow_nan=False)


def test_sets_that_not_all_decided_have_no_mean(whole: Path, store_copy: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(store_copy, tmp_path / "other.zarr"))
    for name in ("edge", "silhouette"):
        shutil.move(other / f"images/ood/{name}", other / f"images/ood/{name}2")
        shutil.move(other / f"models/Tiny/ood/{name}", other / f"models/Tiny/ood/{name}2")
    zarr.open_group(other, mode="a")["images/ood"].attrs["names"] = ["edge2", "silhouette2"]  # type: ignore[misc]
    known = criteria(open_stores([whole, other]))
    assert known.sets == ()
    assert known.missing == ("no accuracy out of distribution: no set of stimuli was decided by all models",)


def test_a_score_that_was_not_measured_says_how(whole: Path) -> None:
    group = zarr.open_group(whole, mode="a")["models/Tiny/attribution/scores"]
    group.attrs["scores"] = ["insertion"]  # type: ignore[misc]
    store = open_store(whole)
    assert "such as by --boxes" in criteria(store, "mass").missing[0]
    assert "not with --attribution-steps 0" in criteria(store).missing[0]
    with pytest.raises(UsageError, match="no score smoothness: there are insertion, "):
        criteria(store, "smoothness")


def test_localisation_is_a_score_too(whole: Path) -> None:
    store = open_store(whole)
    for score in ("localisation", "localisation_mean"):
        own = criteria(store, score).networks[0].explainability
        for row in explained(store):  # one method a family here
            assert own[row.family].mean == pytest.approx(row.scores[score].mean)


def test_info_has_the_table(whole: Path, small_store: Path) -> None:
    store = open_store(whole)
    known = criteria(store)
    assert store_facts(store)["criteria"] == known.to_record()
    record = store_facts(store)["criteria"]["networks"][0]
    assert record["ood_accuracy"]["mean"] == 0.625
    assert set(record["explainability"]) == {"gradient", "perturbation", "cam", "control"}
    lines = store_text(store).splitlines()
    head = next(number for number, line in enumerate(lines) if line.split()[:2] == ["accuracy", "OOD"])
    assert lines[head].split()[3:] == ["gradient", "perturbation", "CAM", "control"]
    assert lines[head + 1].split()[:2] == ["Tiny", f"{known.networks[0].accuracy.mean:.3f}"]
    assert lines[head + 2] == "OOD accuracy: mean of 2 sets: edge, silhouette"
    assert lines[head + 3] == (
        "explainability: insertion / max (higher is better), the mean over gradient; rise; grad-cam; center"
    )
    assert "explainability" not in store_text(open_store(small_store))


def test_few_images_have_scores_too(store_copy: Path) -> None:
    add_scores(store_copy, MANY[:6])
    known = criteria(open_store(store_copy))
    assert known.networks[0].explainability["cam"].is_known
    assert criteria_notes(known)[-1].startswith("no accuracy out of distribution")


def _store(whole: Path, architectures: dict[str, str]) -> Store:
    """A store whose models are told to have these labels and architectures."""
    [tiny] = open_store(whole).models.values()
    models = {label: replace(tiny, label=label, architecture=kind) for label, kind in architectures.items()}
    return cast(Store, SimpleNamespace(models=models))


@pytest.mark.parametrize(
    ("architectures", "pairs"),
    [
        ({"S": "a", "R": "a"}, [("S", "R")]),
        ({"S": "a", "R": "b"}, []),
        ({"demo-r": "a", "demo-s": "a", "Other": "a"}, [("demo-s", "demo-r")]),
        ({"AlexNet": "a", "AlexNet-R": "a", "VGG R": "v", "VGG": "v"}, [("AlexNet", "AlexNet-R"), ("VGG", "VGG R")]),
        ({"X": "a", "X-S": "a", "X-R": "a"}, []),
        ({"standard": "a", "robust": "a", "Ring": "a"}, [("standard", "robust")]),
        ({"AlexNet": "a", "ResNet": "a"}, []),
    ],
)
def test_pairs_are_known_by_their_labels(
    small_store: Path, architectures: dict[str, str], pairs: list[tuple[str, str]]
) -> None:
    assert pairs_of(_store(small_store, architectures)) == pairs


def test_pairs_are_named(small_store: Path) -> None:
    store = open_stores([small_store, small_store.with_name("small.zarr")])
    assert parse_pairs([], store) == []
    for text in ("Tiny", "Tiny=", "Tiny=Tiny"):
        with pytest.raises(UsageError, match="write STANDARD=ROBUST"):
            parse_pairs([text], store)
    with pytest.raises(UsageError, match="Net"):
        parse_pairs(["Net=Tiny"], store)
