"""`shapebias concepts`, and concepts in the other commands, as a shell sees them."""

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from shapebias.core.store.opening import open_store
from tests.support.cli import LIGHT, fails, succeeds


def test_the_table_has_one_line_per_layer(concept_store: Path) -> None:
    lines = [line.split() for line in succeeds("concepts", concept_store).splitlines()]
    assert lines[0] == ["layer", "model", "units", "undecided", "detectors", "color"]
    assert [line[:4] for line in lines[1:]] == [
        ["block1", "Tiny", "16", "0"],
        ["block2", "Tiny", "21", "2"],  # dead ones
        ["block3", "Tiny", "33", "0"],
    ]
    assert all(line[4] == line[6] for line in lines[1:])


def test_json_and_the_units_agree(concept_store: Path) -> None:
    records = json.loads(succeeds("concepts", concept_store, "--format", "json"))
    for record in records:
        layer = ["--layer", record["layer"], "--format", "json", "--filter", "iou >= 0.04"]
        units = json.loads(succeeds("units", concept_store, *layer))
        assert record["detectors"] == {"color": len(units)}
        assert record["unique_concepts"] == {"color": len({unit["concept"] for unit in units})}
        assert {unit["concept_category"] for unit in units} <= {"color"}
    assert sum(record["detectors"]["color"] for record in records) > 0


def test_a_tally_is_of_one_layer(concept_store: Path, tmp_path: Path) -> None:
    file = tmp_path / "tally.csv"
    assert succeeds("concepts", concept_store, "--layer", "block2", "--format", "csv", "-o", file) == ""
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert len(rows) == 21
    assert {"unit", "category", "label", "score", "color-label", "color-iou"} <= set(rows[0])
    units = json.loads(succeeds("units", concept_store, "--layer", "block2", "--format", "json"))
    for row in rows:
        unit = units[int(row["unit"]) - 1]
        iou = math.nan if unit["iou"] is None else unit["iou"]
        assert iou == pytest.approx(float(row["score"]), rel=1e-6, nan_ok=True)
        assert row["category"] in ("color", "")
        assert (unit["concept"] or "") == (row["label"] if float(row["score"]) > 0 else "")
    fails(2, "concepts", concept_store, "--format", "csv")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--format", "xml"], 2),
        (["--layer", "block9"], 2),
        (["-o", "/nowhere/at/all.txt"], 1),
        (["--plot", "bars.gif"], 2),
    ],
)
def test_wrong_usage(concept_store: Path, arguments: list[str], code: int) -> None:
    fails(code, "concepts", concept_store, *arguments)


def test_a_store_without_concepts(small_store: Path) -> None:
    assert "--passes dissection" in fails(1, "concepts", small_store)


def test_bars_are_drawn(concept_store: Path, tmp_path: Path) -> None:
    succeeds("concepts", concept_store, "--plot", tmp_path / "bars.svg")
    assert (tmp_path / "bars.svg").read_text().count("<path") > 20


def test_info_and_show_say_it(concept_store: Path) -> None:
    assert "dissected: 11 concepts, 50 images (colours)" in succeeds("info", concept_store)
    facts = json.loads(succeeds("info", concept_store, "--json"))
    assert facts["dissection"]["problems"] == []
    store = open_store(concept_store)
    unit = int(store.metric("Tiny", "block1", "iou").argmax())
    description = succeeds("show", concept_store, f"Tiny/block1/{unit}")
    assert "(color)" in description
    table = succeeds("units", concept_store, "--layer", "block1", "--sort", "iou", "--limit", "1")
    assert "color" in table.splitlines()[1]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_texts_in_every_format(concept_store: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"units.{form}"
    succeeds("units", concept_store, "--sort", "concept", "--format", form, "-o", file)
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(file.read_text())))
    else:
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(file).to_pylist()
    names = [row["concept"] for row in rows if row["concept"]]
    assert names == sorted(names, reverse=True)
    assert len(rows) == 70


def test_torch_is_not_loaded(concept_store: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LIGHT, "concepts", str(concept_store)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_broden_is_a_folder_with_its_files(image_folder: Path, network_file: Path, tmp_path: Path) -> None:
    model = f"{network_file}:build"
    arguments = ["--model", model, "--images", image_folder, "--store", tmp_path / "x.zarr", "--broden", tmp_path]
    assert "no Broden folder: no index.csv, label.csv, category.csv" in fails(2, "precompute", *arguments)


def test_export_in_brodens_layout(tmp_path: Path) -> None:
    succeeds("export-images", tmp_path / "new", "--split", "probe", "--count", 16, "--broden")
    folder = tmp_path / "new" / "probe"
    assert {"index.csv", "label.csv", "category.csv", "c_part.csv", "images"} <= {
        path.name for path in folder.iterdir()
    }
