"""`shapebias cue-conflict` as a shell sees it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import LIGHT, fails, invoke, succeeds

CSV = """subj,session,trial,rt,object_response,category,condition,imagename
subject-01,1,1,0.9,cat,cat,0,0001_s5n_s01_0_cat_00_cat1-dog2.png
subject-02,1,1,0.9,cat,cat,0,0001_s5n_s02_0_cat_00_cat1-dog2.png
subject-02,1,2,0.9,dog,cat,0,0002_s5n_s02_0_cat_00_cat2-dog1.png
net,1,1,NaN,dog,cat,0,cat1-dog2.png
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.csv"
    path.write_text(CSV)
    return path


def test_models_people_and_published_figures_in_one_table(cue_conflict_store: Path, recorded: Path) -> None:
    lines = succeeds("cue-conflict", cue_conflict_store, "--decisions", recorded).splitlines()
    assert lines.pop().startswith("4 categories (cat, dog, elephant, knife): ")
    assert all("4 categories" in line for line in [*lines[1:4], lines[5]])  # the store has no more of the sixteen
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "people",
        "alexnet (torchvision)",
        "people (2)",
        "Tiny",
        "net",
    ]
    assert lines[3].split()[-7:-3] == ["2", "1", "0", "0.6667"]
    assert lines[4].split()[-7:-3] == ["2", "1", "1", "0.6667"]
    assert lines[5].split()[-7:-3] == ["0", "1", "0", "0.0000"]


def test_categories_json_and_csv(cue_conflict_store: Path, recorded: Path, tmp_path: Path) -> None:
    arguments = ("cue-conflict", cue_conflict_store, "--decisions", recorded, "--csv", tmp_path / "bias.csv")
    assert "\nelephant " in succeeds(*arguments, "--categories")
    facts = json.loads(succeeds(*arguments, "--json"))
    assert facts["problems"] == []
    assert [observer["name"] for observer in facts["observers"]][3:] == ["Tiny", "net"]
    assert facts["observers"][3]["categories"]["cat"] == {"shape": 1, "texture": 1, "other": 0, "shape_bias": 0.5}
    with (tmp_path / "bias.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["category"] == ""]
    assert [row["shape"] for row in rows] == [str(observer["shape"]) for observer in facts["observers"]]


def test_what_is_exported_scores_the_same(cue_conflict_store: Path, tmp_path: Path) -> None:
    arguments = ("cue-conflict", cue_conflict_store, "--export", tmp_path / "out", "--json")
    model = json.loads(succeeds(*arguments))["observers"][-1]
    again = json.loads(succeeds("cue-conflict", "--decisions", tmp_path / "out", "--json"))["observers"][-1]
    assert again["name"] == model["name"] == "Tiny"
    keys = ("shape", "texture", "other", "shape_bias", "interval", "categories")
    assert {key: again[key] for key in keys} == {key: model[key] for key in keys}


def test_models_of_one_name_are_exported_apart(cue_conflict_store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zarr"
    cue_conflict_store.rename(other)
    link = tmp_path / "link.zarr"
    link.symlink_to(other)
    succeeds("cue-conflict", other, link, "--export", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_figure(cue_conflict_store: Path, tmp_path: Path) -> None:
    succeeds("cue-conflict", cue_conflict_store, "--plot", tmp_path / "bias.svg")
    assert "Fraction of texture decisions" in (tmp_path / "bias.svg").read_text()


def test_a_store_without_decisions_is_named_and_the_rest_goes_on(
    small_store: Path, cue_conflict_store: Path, tmp_path: Path
) -> None:
    assert "no cue-conflict decisions of Tiny" in fails(1, "cue-conflict", small_store)
    result = invoke("cue-conflict", small_store, cue_conflict_store, "--decisions", tmp_path / "none.csv")
    assert result.exit_code == 0
    first, second = result.stderr.splitlines()
    assert f"{small_store} has no cue-conflict decisions of Tiny" in first
    assert "none.csv cannot be read" in second
    assert len(result.stdout.splitlines()) == 5


def test_wrong_usage(cue_conflict_store: Path, tmp_path: Path) -> None:
    assert "name a store" in fails(2, "cue-conflict")
    assert ".png or .svg" in fails(2, "cue-conflict", cue_conflict_store, "--plot", "bias.pdf")
    assert "name a store" in fails(2, "cue-conflict", "--decisions", tmp_path, "--export", tmp_path / "out")
    assert "nothing to show" in fails(1, "cue-conflict", "--decisions", tmp_path / "none.csv")
    assert "does not exist" in fails(1, "cue-conflict", tmp_path / "none.zarr")
    assert "cannot be written" in fails(1, "cue-conflict", cue_conflict_store, "--csv", tmp_path / "none/a.csv")


def test_the_command_loads_no_torch(cue_conflict_store: Path) -> None:
    arguments = [sys.executable, "-c", LIGHT, "cue-conflict", str(cue_conflict_store)]
    process = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert process.stderr.splitlines() == ["0 []"]
