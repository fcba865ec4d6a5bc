"""Groups of networks: against SciPy on medians that the test takes itself, and what so many networks can show."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import stats
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.analysis.groups import OVERALL, GroupDifference, compare_groups, groups_text, parse_groups
from shapebias.core.errors import UsageError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.uncertainty.resampling import holm
from tests.support.layer_values import set_values

LABELS = [f"n{number}" for number in range(6)]


def make(path: Path, labels: Iterable[str]) -> Path:
    """A store of the built-in robust network under several labels, whose smoothness is then drawn anew."""
    from shapebias.precompute.models.spec import parse_specs
    from shapebias.precompute.progress import Silent
    from shapebias.precompute.run import precompute
    from shapebias.precompute.settings import Settings

    specs = parse_specs([f"{label}=demo-r" for label in labels])
    precompute(
        Settings(models=specs, images="builtin:probe", store=path, layers="conv1,conv2", limit=8, workers=0), Silent()
    )
    for label in labels:
        random = np.random.default_rng(int(label[1:]))
        shift = 0.2 if int(label[1:]) >= 3 else 0.0
        for layer in ("conv1", "conv2"):
            units = open_store(path).layers(label)[layer].units
            set_values(path, (label, layer), "metrics/smoothness", ..., random.uniform(0.2, 0.6, units) + shift)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("groups") / "six.zarr", LABELS)


@pytest.fixture
def store(path: Path) -> Store:
    return open_store(path)


def median(store: Store, label: str, layer: str) -> float:
    alive = store.metric(label, layer, "max") > 0
    return float(np.median(store.metric(label, layer, "smoothness")[alive].astype(float)))


def rows_of(store: Store, *texts: str) -> dict[str, GroupDifference]:
    rows = compare_groups(store, parse_groups(store, texts), ["smoothness"])
    return {row.layer: row for row in rows}


def test_networks_are_exchanged_not_units(store: Store) -> None:
    rows = rows_of(store, "S=n0,n1,n3", "R=n2,n4,n5")
    for layer in ("conv1", "conv2"):
        a, b = (
            np.array([median(store, label, layer) for label in side])
            for side in ([*LABELS[:2], "n3"], LABELS[2:3] + LABELS[4:])
        )
        expected = stats.permutation_test(
            (b, a), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True, n_resamples=np.inf
        )
        assert rows[layer].difference == pytest.approx(expected.statistic)
        assert rows[layer].p == pytest.approx(expected.pvalue)
        assert rows[layer].values[0] == pytest.approx(
            {label: median(store, label, layer) for label in ("n0", "n1", "n3")}
        )
    assert [rows[layer].p_holm for layer in ("conv1", "conv2")] == holm([rows["conv1"].p, rows["conv2"].p])


def test_three_against_three_reach_a_tenth_and_no_less(store: Store) -> None:
    rows = rows_of(store, "S=n0,n1,n2", "R=n3,n4,n5")
    assert rows["conv1"].p == rows["conv1"].smallest == rows[OVERALL].p == pytest.approx(0.1)
    text = groups_text(store, parse_groups(store, ["S=n0,n1,n2", "R=n3,n4,n5"]), ["smoothness"])
    assert "3 against 3 networks" in text
    assert "the smallest p that so many can reach is 0.1000" in text
    assert "R is smoother by +" in text


def test_over_all_layers_in_standard_deviations(store: Store) -> None:
    row = rows_of(store, "S=n0,n1,n2", "R=n3,n4,n5")[OVERALL]
    expected = []
    for layer in ("conv1", "conv2"):
        units = np.concatenate(
            [store.metric(label, layer, "smoothness")[store.metric(label, layer, "max") > 0] for label in LABELS]
        ).astype(float)
        means = [np.mean([median(store, label, layer) for label in side]) for side in (LABELS[:3], LABELS[3:])]
        expected.append((means[1] - means[0]) / units.std())
    assert row.difference == pytest.approx(np.mean(expected))


def test_pairs_of_one_architecture_are_flipped(path: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(path, tmp_path / "copy.zarr"))
    for label, kind in zip(LABELS, ("a", "b", "c", "c", "a", "b"), strict=True):
        zarr.open_group(copy / f"models/{label}").attrs["architecture"] = kind
    store = open_store(copy)
    groups = parse_groups(store, ["S=n0,n1,n2", "R=n3,n4,n5"])
    assert groups.paired
    assert groups.blocks == [["n0", "n4"], ["n1", "n5"], ["n2", "n3"]]
    row = rows_of(store, "S=n0,n1,n2", "R=n3,n4,n5")["conv2"]
    differences = np.array([median(store, b, "conv2") - median(store, a, "conv2") for a, b in groups.blocks])
    exact = stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    assert row.p == pytest.approx(exact.pvalue)
    assert row.smallest == 2 / 8


def test_the_command_over_two_stores(path: Path, tmp_path: Path) -> None:
    others = make(tmp_path / "others.zarr", ["n6", "n7"])
    words = ["compare", str(path), str(others), "--group", "S=n0,n1,n2", "--group", "R=n6,n7", "--metric", "smoothness"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.output)
    assert facts["tests_over"] == "networks"
    assert facts["groups"] == {"S": ["n0", "n1", "n2"], "R": ["n6", "n7"]}
    assert [row["layer"] for row in facts["layers"]] == ["conv1", "conv2"]
    both = open_stores([path, others])
    row = facts["layers"][0]
    assert row["values"][1] == pytest.approx({label: median(both, label, "conv1") for label in ("n6", "n7")})
    assert row["p"] == row["smallest"] == pytest.approx(1 / 10)
    assert row["p_holm"] == pytest.approx(2 / 10)
    text = CliRunner().invoke(app, words)
    assert text.exit_code == 0, text.output
    assert "p (Holm)" in text.output


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["S=n0"], "compare two groups"),
        (["S=n0", "R"], "write NAME=MODEL"),
        (["S=n0", "R=n0"], "named 2 times"),
        (["S=n0", "S=n1"], "both groups are called S"),
        (["S=n0", "R=x9"], "no model x9"),
    ],
)
def test_groups_that_cannot_be(store: Store, texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_groups(store, texts)


def test_a_metric_that_the_store_lacks(store: Store) -> None:
    with pytest.raises(UsageError, match="not a metric of these networks"):
        compare_groups(store, parse_groups(store, ["S=n0", "R=n1"]), ["shape_score"])
