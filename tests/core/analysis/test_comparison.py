"""Two models side by side: against NumPy, SciPy's permutation test, and by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.analysis.comparison import compare, comparison_text, living, outliers, pair_of, summarize
from shapebias.core.errors import UsageError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from tests.support.layer_values import set_values


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in pair on a few built-in images."""
    from shapebias.precompute.models.spec import parse_specs
    from shapebias.precompute.progress import Silent
    from shapebias.precompute.run import precompute
    from shapebias.precompute.settings import Settings

    path = tmp_path_factory.mktemp("pair") / "pair.zarr"
    specs = parse_specs(["S=demo-s", "R=demo-r"])
    settings = Settings(
        models=specs, images="builtin:probe", store=path, limit=32, device="cpu", workers=0, passes=("noise",)
    )
    precompute(settings, Silent())
    return path


@pytest.fixture
def store(pair: Path) -> Store:
    return open_store(pair)


@pytest.mark.slow
def test_differences_are_numpys_and_scipys(store: Store) -> None:
    differences, _ = compare(store, "S", "R", ["smoothness", "filter_smoothness"])
    assert [difference.layer for difference in differences] == [f"conv{number}" for number in range(1, 6)] * 2
    for difference in differences:
        a, b = (store.metric(model, difference.layer, difference.metric).astype(float) for model in ("S", "R"))
        alive = [store.metric(model, difference.layer, "max") > 0 for model in ("S", "R")]
        a, b = a[alive[0]], b[alive[1]]
        assert (difference.first.units, difference.second.units) == (len(a), len(b))
        assert difference.first.mean == pytest.approx(a.mean(), rel=1e-6)
        assert difference.second.median == pytest.approx(np.median(b), rel=1e-6)
        assert difference.difference == pytest.approx(b.mean() - a.mean(), abs=1e-7)
        exact = stats.permutation_test(
            (b, a), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True, n_resamples=2000, rng=1
        ).pvalue
        assert difference.p == pytest.approx(exact, abs=0.05)
        interval = stats.bootstrap(
            (b, a), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=2000, method="percentile", rng=1
        ).confidence_interval
        assert (difference.low, difference.high) == pytest.approx(
            tuple(interval), abs=0.12 * (interval.high - interval.low)
        )


def test_robust_filters_are_smoother_in_every_layer(store: Store) -> None:
    _, (overall,) = compare(store, "S", "R", ["filter_smoothness"])
    assert (overall.layers, overall.larger) == (5, 5)
    assert overall.effect > 0.5
    _, (other,) = compare(store, "R", "S", ["filter_smoothness"])
    assert (other.layers, other.larger) == (5, 0)
    assert other.effect == pytest.approx(-overall.effect)


def test_dead_units_are_left_out_and_counted(pair: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(pair, tmp_path / "copy.zarr"))
    set_values(copy, ("S", "conv3"), "metrics/max", slice(5), 0.0)
    store = open_store(copy)
    values = store.metric("S", "conv3", "smoothness")[5:].astype(float)
    summary = summarize(store, "S", "conv3", "smoothness")
    assert (summary.dead, summary.units) == (5, 75)
    assert summary.mean == pytest.approx(values.mean())
    assert (summary.lower_quartile, summary.upper_quartile) == pytest.approx(tuple(np.quantile(values, [0.25, 0.75])))
    set_values(copy, ("S", "conv3"), "metrics/max", ..., 0.0)
    gone = summarize(open_store(copy), "S", "conv3", "smoothness")
    assert (gone.dead, gone.units) == (80, 0)
    assert math.isnan(gone.mean)
    differences, overall = compare(open_store(copy), "S", "R", ["smoothness"])
    assert math.isnan(differences[2].p)
    assert overall[0].layers == 4
    assert "80/0" in comparison_text(open_store(copy), "S", "R", metrics=["smoothness"])


@pytest.mark.parametrize("reference", ["S", "R"])
def test_outliers_shift_by_a_fifth_of_the_references_mean(store: Store, reference: str) -> None:
    clean = store.metric(reference, "conv1", "tv").astype(float)[store.metric(reference, "conv1", "max") > 0]
    for model in ("S", "R"):
        expected = np.flatnonzero(np.abs(store.metric(model, "conv1", "tv_shift")) >= 0.2 * clean.mean())
        assert outliers(store, model, "conv1", reference).tolist() == expected.tolist()


@pytest.mark.slow
def test_the_reference_of_outliers_is_the_first_model_unless_it_is_named(pair: Path, store: Store) -> None:
    for words, reference in (([], "S"), (["--reference", "R"], "R")):
        told = json.loads(CliRunner().invoke(app, ["compare", str(pair), "--json", *words]).output)
        assert told["outlier_reference"] == reference
        counted = {model: sum(map(len, layers.values())) for model, layers in told["outliers"].items()}
        expected = {
            model: sum(len(outliers(store, model, f"conv{number}", reference)) for number in range(1, 6))
            for model in ("S", "R")
        }
        assert counted == expected
        text = CliRunner().invoke(app, ["compare", str(pair), *words]).output
        assert f"of the mean TV of {reference} in the layer): S {expected['S']}, R {expected['R']}" in text
    assert "no model X" in CliRunner().invoke(app, ["compare", str(pair), "--reference", "X"]).stderr


def test_which_models(store: Store, small_store: Path) -> None:
    assert pair_of(store, None, None) == ("S", "R")
    assert pair_of(store, "R", None) == ("R", "S")
    for names, said in ((("S", "S"), "with itself"), (("X", None), "no model X")):
        with pytest.raises(UsageError, match=said):
            pair_of(store, *names)
    with pytest.raises(UsageError, match="holds one model"):
        pair_of(open_store(small_store), None, None)
    with pytest.raises(UsageError, match="not a metric of both models"):
        compare(store, "S", "R", ["color_sensitivity"])


def test_the_command(pair: Path) -> None:
    text = CliRunner().invoke(app, ["compare", str(pair), "--metric", "smoothness"])
    assert text.exit_code == 0, text.output
    assert "R is smoother in" in text.output
    assert "clean" in text.output
    assert "spread over units" in text.output
    assert "p =" not in text.output
    assert "several networks of each kind: --group" in text.output
    told = CliRunner().invoke(app, ["compare", str(pair), "--json", "--all-right"])
    facts = json.loads(told.output)
    assert facts["models"] == ["S", "R"]
    assert {row["model"] for row in facts["accuracy"]} == {"S", "R"}
    assert facts["tests_over"] == "units"
    assert all(row["p"] <= row["p_holm"] <= 1 for row in facts["layers"] if row["p"] is not None)
    assert all("p" not in row for row in facts["overall"])
    assert len(facts["layers"]) == 5 * len(facts["overall"])
    assert facts["accuracy"][0]["accuracy"] == 1.0  # of images that both get right


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["variation", "filters"])
def test_figures(pair: Path, tmp_path: Path, kind: str) -> None:
    from PIL import Image

    done = CliRunner().invoke(app, ["plot", str(pair), kind, "-o", str(tmp_path / "figure.png")])
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "figure.png") as picture:
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50


def test_figures_that_a_store_has_no_data_for(pair: Path, small_store: Path, tmp_path: Path) -> None:
    for store, kind, said in (
        (pair, "distortions", "--passes distortions"),
        (small_store, "variation", "--passes noise"),
        (pair, "pie", "no figure pie"),
    ):
        done = CliRunner().invoke(app, ["plot", str(store), kind, "-o", str(tmp_path / "figure.png")])
        assert done.exit_code == 2
        assert done.exception is not None
        assert said in str(done.output) or said in str(done.stderr)
    assert not (tmp_path / "figure.png").exists()


def test_info_has_every_layers_summary_and_the_accuracies(pair: Path) -> None:
    model = json.loads(CliRunner().invoke(app, ["info", str(pair), "--json"]).output)["models"][1]
    assert [(row["condition"], row["images"]) for row in model["accuracy"]] == [("clean", 32)]
    summary = model["layers"][2]["summary"]["smoothness"]
    assert summary["mean"] == pytest.approx(living(open_store(pair), "R", "conv3", "smoothness").mean())
