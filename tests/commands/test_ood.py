"""`shapebias ood` as a shell sees it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from shapebias.core.shape_bias.categories import sixteen_classes
from tests.support.cli import LIGHT, fails, invoke, succeeds
from tests.support.ood_store import add_set

HEADER = "subj,session,trial,rt,object_response,category,condition,imagename"
IMAGES = ["cat/cat1.png", "cat/cat2.png", "dog/dog1.png", "dog/dog2.png"]


@pytest.fixture
def ood_store(store_copy: Path) -> Path:
    add_set(store_copy, "edge", IMAGES, ["cat", "cat", "cat", "dog"])
    add_set(store_copy, "silhouette", IMAGES, ["cat", "dog", "cat", "dog"])
    return store_copy


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two people on edge, one of whom is always right, and one on sketch."""
    rows = [
        "subject-01,1,1,0.9,cat,cat,0,0001_edg_s01_0_cat_00_cat1.png",
        "subject-01,1,2,0.9,cat,cat,0,0002_edg_s01_0_cat_00_cat2.png",
        "subject-01,1,3,0.9,dog,dog,0,0003_edg_s01_0_dog_00_dog1.png",
        "subject-01,1,4,0.9,dog,dog,0,0004_edg_s01_0_dog_00_dog2.png",
    ]
    folder = tmp_path / "raw-data"
    (folder / "edge").mkdir(parents=True)
    (folder / "edge/edge_subject-01_session_1.csv").write_text("\n".join([HEADER, *rows]))
    other = [row.replace("subject-01", "subject-02").replace(",dog,dog,", ",na,dog,") for row in rows]
    (folder / "edge/edge_subject-02_session_1.csv").write_text("\n".join([HEADER, *other]))
    return folder


def test_models_beside_people(ood_store: Path, recorded: Path) -> None:
    accuracy, consistency = succeeds("ood", ood_store, "--decisions", recorded).split("\n\n")
    rows = [line.split() for line in accuracy.splitlines()]
    assert rows == [
        ["accuracy", "images", "people", "(2)", "Tiny"],
        ["edge", "4", "75.0%", "75.0%"],
        ["silhouette", "4", "–", "50.0%"],
    ]
    [line] = [line for line in consistency.splitlines() if "Tiny" in line]
    # with the first: expected 0.75, observed 0.75, kappa 0; with the second 0.5, 0.75, 0.5
    assert line.split()[-5:] == ["4", "0.0625", "0.7500", "0.6250", "0.2500"]
    assert "subject-01" not in consistency
    assert "subject-01" in succeeds("ood", ood_store, "--decisions", recorded, "--details")


def test_json_and_csv(ood_store: Path, recorded: Path) -> None:
    arguments = ("ood", ood_store, "--decisions", recorded, "--format")
    facts = json.loads(succeeds(*arguments, "json"))
    assert facts["problems"] == []
    assert facts["mean_over"] == ["edge"]
    [row] = [row for row in facts["consistency"] if row["observer"] == "Tiny" and row["other"] == "people"]
    assert (row["set"], row["condition"], row["images"], row["error_consistency"]) == ("edge", None, 4, 0.25)
    rows = list(csv.DictReader(io.StringIO(succeeds(*arguments, "csv"))))
    assert len(rows) == len(facts["accuracy"]) + len(facts["consistency"])


def test_exported_decisions_are_read_again_unchanged(ood_store: Path, tmp_path: Path) -> None:
    before = json.loads(succeeds("ood", ood_store, "--export", tmp_path / "out", "--format", "json"))
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("out/*/*")} == {
        f"out/{name}/{name}_Tiny_session-1.csv" for name in ("edge", "silhouette")
    }
    again = json.loads(succeeds("ood", "--decisions", tmp_path / "out", "--format", "json"))
    keys = ("set", "condition", "observer", "images", "accuracy")
    assert [{key: row[key] for key in keys} for row in again["accuracy"]] == [
        {key: row[key] for key in keys} for row in before["accuracy"]
    ]
    both = json.loads(succeeds("ood", ood_store, "--decisions", tmp_path / "out", "--format", "json"))
    assert {row["observed"] for row in both["consistency"]} == {1.0}
    assert {row["error_consistency"] for row in both["consistency"]} == {1.0}


def test_every_mistake_is_one_line_and_the_rest_goes_on(
    small_store: Path, ood_store: Path, recorded: Path, tmp_path: Path
) -> None:
    file = recorded / "edge/edge_subject-02_session_1.csv"
    (recorded / "sketch_subject-01_session_1.csv").write_text(file.read_text().replace("dog", "zebra"))
    file.write_text(file.read_text().replace("cat1.png", "cat7.png"))
    arguments = ("--decisions", recorded, "--decisions", tmp_path / "edge_none.csv")
    result = invoke("ood", small_store, ood_store, *arguments)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert all(line.startswith("shapebias: ") and line.isprintable() for line in lines)
    text = result.stderr
    assert f"{small_store} has no decisions of Tiny for sets of --ood" in text
    assert "edge_none.csv cannot be read" in text
    assert "2 of 4 rows left out: unknown category zebra" in text
    assert "recorded decisions for sketch are left out: no store has such a set" in text
    assert "edge: only 3 of 5 images were shown to all 3 observers; two are compared by those that both saw" in text
    assert len(lines) == 5
    assert "Tiny" in result.stdout


def test_wrong_usage(ood_store: Path, small_store: Path, tmp_path: Path) -> None:
    assert "name a store" in fails(2, "ood")
    assert "no --format xml: there are table, json, csv" in fails(2, "ood", ood_store, "--format", "xml")
    assert "name a store" in fails(2, "ood", "--decisions", tmp_path, "--export", tmp_path / "out")
    assert "nothing to show: " in fails(1, "ood", small_store)
    assert "does not exist" in fails(1, "ood", tmp_path / "none.zarr")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in fails(1, "ood", ood_store, "--export", tmp_path / "file")


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["edge"], "--ood edge: write NAME=IMAGES, such as edge=stimuli/edge"),
        (["=a"], "--ood =a: write NAME=IMAGES"),
        (["../a=b"], "--ood ../a=b: write NAME=IMAGES"),
        (["edge=a", "edge=b"], "--ood names edge twice: give each set a name of its own"),
        (["edge=nowhere"], "no folder nowhere: check the path of the images"),
    ],
)
def test_sets_that_precompute_refuses(tmp_path: Path, sets: list[str], said: str) -> None:
    options = [word for text in sets for word in ("--ood", text)]
    assert said in fails(2, "precompute", *options, "--store", tmp_path / "a.zarr")


def test_the_figure_of_robustness(store_copy: Path, tmp_path: Path) -> None:
    figure = tmp_path / "robustness.svg"
    assert "precompute it with --cue-conflict" in fails(2, "plot", store_copy, "robustness", "-o", figure)
    add_set(store_copy, "edge", ["cat/1.png", "dog/1.png"], ["cat", "cat"], categories=list(sixteen_classes()))
    succeeds("plot", store_copy, "robustness", "-o", figure, "--epsilon", "Tiny=linf:4/255")
    assert "epsilon, linf, 255ths" in figure.read_text()
    arguments = ("plot", store_copy, "robustness", "-o", figure, "--epsilon")
    assert "write MODEL=NORM:EPSILON" in fails(2, *arguments, "Tiny=4")
    assert "no model Net" in fails(2, *arguments, "Net=l2:3")
    assert "--epsilon applies to the figure robustness only" in fails(
        2, "plot", store_copy, "filters", "-o", figure, "--epsilon", "Tiny=l2:3"
    )


def test_the_command_loads_no_torch(ood_store: Path) -> None:
    arguments = [sys.executable, "-c", LIGHT, "ood", str(ood_store)]
    process = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert process.stderr.strip() == "0 []"
