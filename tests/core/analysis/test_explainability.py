"""Means, intervals and paired tests of scores against NumPy and SciPy; their tables."""

import csv
import io
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from shapebias.core.analysis.comparison import comparison, comparison_text
from shapebias.core.analysis.explainability import (
    differences_text,
    explained,
    explained_csv,
    explained_text,
    family_scores,
    image_scores,
    score_differences,
)
from shapebias.core.attribution.localising import localised
from shapebias.core.attribution.scores import SCORES
from shapebias.core.errors import UsageError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from tests.support.attribution_store import METHODS, add_attribution
from tests.support.map_scores import MANY, NAMES, add_scores


@pytest.fixture
def pair(store_copy: Path, tmp_path: Path) -> Path:
    """The folder of two stores with scores of the same images, `copy.zarr` and `more.zarr`, of which the second has
    more insertion."""
    shutil.copytree(store_copy, tmp_path / "more.zarr")
    add_scores(store_copy)
    add_scores(tmp_path / "more.zarr", shift=0.6, seed=1)
    return tmp_path


def test_means_and_intervals(store_copy: Path) -> None:
    values = add_scores(store_copy)
    rows = explained(open_store(store_copy))
    assert [row.method for row in rows] == list(METHODS)
    for number, row in enumerate(rows):
        assert (row.model, row.family, row.images) == ("Tiny", METHODS[row.method][0], len(MANY) - 1)
        assert (row.objects, row.constant) == (len(MANY) - 2, int(row.method == "gradient"))
        for name in NAMES:
            known = values[name][number][~np.isnan(values[name][number])].astype(np.float64)
            own = row.scores[name]
            assert own.mean == pytest.approx(known.mean())
            interval = stats.bootstrap((known,), np.mean, method="percentile", rng=0).confidence_interval
            spread = known.std() / math.sqrt(len(known))
            assert own.low == pytest.approx(interval.low, abs=0.4 * spread)
            assert own.high == pytest.approx(interval.high, abs=0.4 * spread)


def test_localisation_follows_from_overlaps(store_copy: Path) -> None:
    overlap = add_scores(store_copy)["overlap"]
    store = open_store(store_copy)
    attribution = store.attribution("Tiny")
    assert attribution is not None
    values, thresholds = image_scores(attribution)
    for number, row in enumerate(explained(store)):
        whole, numbers = localised(overlap[number], 0.5)
        np.testing.assert_array_equal(values["localisation"][number], whole)
        mean = np.mean([localised(overlap[number], least)[0] for least in (0.3, 0.5, 0.7)], axis=0)
        np.testing.assert_allclose(values["localisation_mean"][number], mean, rtol=1e-6)
        assert row.thresholds == thresholds[number] == tuple(index / 20 for index in numbers)
        assert row.scores["localisation"].mean == pytest.approx(np.nanmean(whole))


def test_few_images_have_no_localisation(store_copy: Path) -> None:
    add_scores(store_copy, MANY[:12])
    rows = explained(open_store(store_copy))
    assert all(math.isnan(row.scores["localisation"].mean) and not row.thresholds for row in rows)
    text = explained_text(rows)
    assert "too few images show their object" in text
    assert "localisation " not in text.partition("\n")[0]


def test_stores_without_scores(small_store: Path, store_copy: Path) -> None:
    with pytest.raises(UsageError, match="no scores of attribution maps"):
        explained(open_store(small_store))
    add_attribution(store_copy)
    with pytest.raises(UsageError, match="--passes attribution"):
        explained(open_store(store_copy))
    assert score_differences(open_stores([small_store, store_copy]), "Tiny", "Tiny@copy") == []


def test_tables(pair: Path) -> None:
    rows = explained(open_stores([pair / "copy.zarr", pair / "more.zarr"]))
    lines = explained_text(rows).splitlines()
    assert lines[0].split()[:4] == ["method", "model", "images", "insertion"]
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["gradient", "Tiny"],
        ["gradient", "Tiny@more"],
        ["rise", "Tiny"],
        ["rise", "Tiny@more"],
    ]
    assert any("lower is better" in line and "deletion" in line for line in lines)
    assert "gradient of Tiny 1" in explained_text(rows)
    records = list(csv.DictReader(io.StringIO(explained_csv(rows))))
    assert len(records) == 2 * len(METHODS)
    for record, row in zip(records, rows, strict=True):
        assert (record["model"], record["method"], record["images"]) == (row.model, row.method, str(row.images))
        for name in SCORES:
            assert float(record[name]) == row.scores[name].mean
            assert float(record[f"{name}_low"]) <= float(record[name]) <= float(record[f"{name}_high"])
    assert explained_csv([]) == "\n"


def test_one_score_of_each_family(pair: Path) -> None:
    store = open_stores([pair / "copy.zarr", pair / "more.zarr"])
    known = family_scores(store, "insertion_max")
    assert list(known.scores) == ["Tiny", "Tiny@more"]
    for row in explained(store):  # one method a family here, and the same images are drawn
        own, expected = known.scores[row.model][row.family], row.scores["insertion_max"]
        assert (own.mean, own.low, own.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_two_models_are_compared_image_by_image(pair: Path) -> None:
    store = open_stores([pair / "copy.zarr", pair / "more.zarr"])
    rows = score_differences(store, "Tiny", "Tiny@more")
    both = [store.attribution(model) for model in ("Tiny", "Tiny@more")]
    values = [image_scores(own)[0] for own in both if own is not None]
    assert len(rows) == 7 * len(METHODS)
    for row in rows:
        number = list(METHODS).index(row.method)
        a, b = (own[row.score][number] for own in values)
        known = ~np.isnan(a) & ~np.isnan(b)
        assert row.images == known.sum()
        assert row.first == pytest.approx(a[known].mean())
        assert row.interval.mean == pytest.approx((b - a)[known].mean())
        if row.score == "insertion":
            p = stats.permutation_test(
                (b[known] - a[known],), np.mean, permutation_type="samples", n_resamples=9999, rng=0
            ).pvalue
            assert row.p == pytest.approx(p, abs=0.02)
            assert row.p <= row.p_holm
    assert all(row.p_holm < 0.05 and row.interval.low > 0 for row in rows if row.score == "insertion")
    text = differences_text(rows, ("Tiny", "Tiny@more"))
    assert text.splitlines()[0].split() == ["attribution", *dict.fromkeys(row.score for row in rows)]
    assert text.splitlines()[1].split()[1].endswith("*")


def test_images_are_paired_by_their_paths(store_copy: Path, tmp_path: Path) -> None:
    shutil.copytree(store_copy, tmp_path / "more.zarr")
    values = add_scores(store_copy, tuple(range(30)))
    others = add_scores(tmp_path / "more.zarr", tuple(range(20, 50)), seed=2)
    store = open_stores([store_copy, tmp_path / "more.zarr"])
    row = score_differences(store, "Tiny", "Tiny@more", ["deletion"])[0]
    difference = others["deletion"][0, :10].astype(float) - values["deletion"][0, 20:]
    assert row.images == np.isfinite(difference).sum() == 9
    assert row.interval.mean == pytest.approx(np.nanmean(difference))


def test_compare_knows_them(pair: Path) -> None:
    store = open_stores([pair / "copy.zarr", pair / "more.zarr"])
    both = ("Tiny", "Tiny@more")
    assert len(comparison(store, *both)["explainability"]) == 7 * len(METHODS)
    assert "flipped signs" in comparison_text(store, *both)
    only = comparison(store, *both, metrics=["insertion_max", "pointing_exact"])
    assert {row["score"] for row in only["explainability"]} == {"insertion_max", "pointing_exact"}
    assert only["layers"] == []
    assert comparison_text(store, *both, metrics=["mass"]).splitlines()[-2].split()[0] == "center"
    assert comparison(store, *both, metrics=["smoothness"])["explainability"] == []
