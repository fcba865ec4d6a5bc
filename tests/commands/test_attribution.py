"""`shapebias attribution`, and scores of maps in other commands, as a shell sees them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from shapebias.core.analysis.explainability import explained, explained_csv
from shapebias.core.store.opening import open_store
from tests.support.attribution_store import METHODS
from tests.support.cli import LIGHT, fails, succeeds
from tests.support.map_scores import add_scores

COLUMNS = ["insertion", "deletion", "insertion_max", "deletion_max", "pointing", "localisation", "mass"]


def test_the_table_has_one_line_per_method(store_copy: Path) -> None:
    add_scores(store_copy)
    lines = [line.split() for line in succeeds("attribution", store_copy).splitlines()]
    assert lines[0] == ["method", "model", "images", *COLUMNS]
    assert [line[:3] for line in lines[1 : 1 + len(METHODS)]] == [[method, "Tiny", "24"] for method in METHODS]


def test_json_and_csv_are_the_rows(store_copy: Path, tmp_path: Path) -> None:
    add_scores(store_copy)
    records = json.loads(succeeds("attribution", store_copy, "--format", "json"))
    assert [record["method"] for record in records] == list(METHODS)
    for record in records:
        assert {"model", "method", "images", *COLUMNS, "pointing_exact", "localisation_mean"} < set(record)
        assert record["mass_low"] <= record["mass"] <= record["mass_high"]
    file = tmp_path / "scores.csv"
    assert succeeds("attribution", store_copy, "--model", "Tiny", "--format", "csv", "-o", file) == ""
    assert file.read_text() == explained_csv(explained(open_store(store_copy)))
    assert len(list(csv.reader(file.open()))) == 1 + len(METHODS)


def test_what_is_not_known_is_null(store_copy: Path) -> None:
    add_scores(store_copy, tuple(range(8)))
    records = json.loads(succeeds("attribution", store_copy, "--format", "json"))
    assert {record["localisation"] for record in records} == {None}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--format", "xml"], 2), (["--model", "Nobody"], 2), (["-o", "/nowhere/at/all.txt"], 1)],
)
def test_mistakes_are_one_line(store_copy: Path, arguments: list[str], code: int) -> None:
    add_scores(store_copy)
    fails(code, "attribution", store_copy, *arguments)


def test_a_store_without_scores_says_how_to_get_them(small_store: Path) -> None:
    assert "--passes attribution" in fails(2, "attribution", small_store)
    assert "--passes attribution" in fails(2, "plot", small_store, "attribution", "-o", "/tmp/none.png")


def test_plot_writes_a_figure(store_copy: Path, tmp_path: Path) -> None:
    add_scores(store_copy)
    file = tmp_path / "scores.svg"
    assert succeeds("plot", store_copy, "attribution", "-o", file) == f"{file}\n"
    assert "<!-- higher is better -->" in file.read_text()


def test_it_loads_no_torch(store_copy: Path) -> None:
    add_scores(store_copy)
    command = [sys.executable, "-c", LIGHT, "attribution", str(store_copy)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stderr.splitlines()[-1] == "0 []"
