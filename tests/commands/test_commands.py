"""The commands as a shell sees them: exit codes, stdout, one line on stderr, and no torch where none is needed."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

import shapebias
from shapebias.core.store.opening import open_store
from shapebias.core.units.marks import Marks
from tests.support.cli import LIGHT, fails, invoke, shell, succeeds

COMMANDS = [
    *(
        "precompute",
        "info",
        "units",
        "show",
        "marks",
        "explore",
        "compare",
        "plot",
        "concepts",
        "cue-conflict",
        "ablate",
        "attribute",
        "twins",
    ),
    *("models", "layers", "train", "export-images", "doctor"),
]


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    text = succeeds(command, "--help")
    assert text.count(f"shapebias {command} ") + text.count(f"shapebias {command}\n") >= 3, "its usage and two examples"
    assert text == succeeds(command, "-h")


def test_the_program_without_a_command_lists_them() -> None:
    text = succeeds("--help")
    for command in COMMANDS:
        assert command in text
    assert succeeds("--version") == f"{shapebias.__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["precompute", "--help"], ["info", "STORE"], ["units", "STORE"], ["show", "STORE", "Tiny/block1/3"]],
)
def test_torch_is_not_loaded_for_a_look(small_store: Path, tmp_path: Path, arguments: list[str]) -> None:
    arguments = [str(small_store) if argument == "STORE" else argument for argument in arguments]
    if arguments[0] == "show":
        arguments += ["-o", str(tmp_path / "unit.png")]
    process = subprocess.run([sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=False)
    assert process.stderr.splitlines()[-1:] == ["0 []"], process.stderr


# --- info, units -----------------------------------------------------------------------------------------------------


def test_info(small_store: Path) -> None:
    text = succeeds("info", small_store)
    assert "50 images, 50 with labels, 0 skipped" in text
    assert "Tiny: Tiny" in text
    facts = json.loads(succeeds("info", small_store, "--json"))
    assert (facts["images"], facts["classes"], facts["version"]) == (50, 10, 2)
    (model,) = facts["models"]
    assert model["units"] == 70
    assert [layer["units"] for layer in model["layers"]] == [16, 21, 33]


def test_units_agree_in_every_format(small_store: Path, tmp_path: Path) -> None:
    arguments = ("units", small_store, "--model", "Tiny", "--layer", "block2", "--sort", "std", "--limit", "5")
    records = json.loads(succeeds(*arguments, "--format", "json"))
    rows = list(csv.DictReader(io.StringIO(succeeds(*arguments, "--format", "csv"))))
    table = succeeds(*arguments).splitlines()
    succeeds(*arguments, "--format", "parquet", "-o", tmp_path / "units.parquet")
    columns = pyarrow.parquet.read_table(tmp_path / "units.parquet").to_pydict()
    piped = shell(*arguments, "--format", "parquet")
    assert pyarrow.parquet.read_table(io.BytesIO(piped.stdout)).to_pydict() == columns
    units = [record["unit"] for record in records]
    assert units == [int(row["unit"]) for row in rows] == columns["unit"]
    assert [line.split()[0] for line in table[1:]] == [f"Tiny/block2/{unit}" for unit in units]
    assert [record["std"] for record in records] == [float(row["std"]) for row in rows] == columns["std"]
    every = open_store(small_store).metric("Tiny", "block2", "std")
    assert [record["std"] for record in records] == sorted(every.tolist(), reverse=True)[:5]


def test_ascending_without_a_metric_is_one_line(small_store: Path) -> None:
    assert "--ascending is for the order of --sort METRIC" in fails(2, "units", small_store, "--ascending")


def test_units_ascending(small_store: Path) -> None:
    records = json.loads(succeeds("units", small_store, "--sort", "max", "--ascending", "--format", "json"))
    values = [record["max"] for record in records]
    assert values == sorted(values)
    assert len(values) == 70


def test_units_filtered_sorted_and_limited(small_store: Path) -> None:
    every = json.loads(succeeds("units", small_store, "--format", "json"))
    wanted = sorted(
        (record["max"] for record in every if record["layer"] == "block2" and record["std"] > 0.1), reverse=True
    )
    assert len(wanted) > 3
    condition = "layer = block2 and std > 0.1"
    records = json.loads(
        succeeds("units", small_store, "--filter", condition, "--sort", "max", "--limit", "3", "--format", "json")
    )
    assert [record["max"] for record in records] == wanted[:3]
    assert len(succeeds("units", small_store, "--filter", "top 10% selectivity").splitlines()) == 1 + 4  # of 37
    assert len(succeeds("units", small_store, "--filter", "max < -1e9").splitlines()) == 1, "only the header"


def test_units_without_sorting_are_in_the_order_of_the_network(small_store: Path) -> None:
    lines = succeeds("units", small_store).splitlines()
    assert lines[1].startswith("Tiny/block1/0 ")
    assert lines[-1].startswith("Tiny/block3/32 ")


def test_units_into_a_file(small_store: Path, tmp_path: Path) -> None:
    assert succeeds("units", small_store, "--format", "csv", "-o", tmp_path / "u.csv") == ""
    assert (tmp_path / "u.csv").read_text() == succeeds("units", small_store, "--format", "csv")


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["info", "units"])
def test_a_store_that_is_not_there_or_none(tmp_path: Path, command: str) -> None:
    assert "does not exist" in fails(1, command, tmp_path / "none\x1b.zarr")
    assert "not a shapebias store" in fails(1, command, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sort", "nothing"], "sort by one of"),
        (["--format", "xml"], "parquet"),
        (
            ["--filter", "max > 1 and selectivty > 0"],
            'unknown metric "selectivty" at column 13: did you mean selectivity?',
        ),
        (["--model", "Tony"], "did you mean Tiny?"),
        (["--layer", "blok3"], "blok3"),
        (["--model", "Tiny", "--layer", "blok3"], "did you mean block3?"),
    ],
)
def test_wrong_usage_of_units(small_store: Path, arguments: list[str], said: str) -> None:
    assert said in fails(2, "units", small_store, *arguments)


def test_a_file_that_cannot_be_written(small_store: Path, tmp_path: Path) -> None:
    assert "cannot be written" in fails(1, "units", small_store, "-o", tmp_path / "none" / "u.csv")


def test_explore_needs_a_terminal(small_store: Path) -> None:
    assert "needs a terminal" in fails(2, "explore", small_store)


@pytest.mark.parametrize("arguments", [["units"], ["nothing"], ["units", "a", "b"], ["units", "a", "--limit", "0"]])
def test_wrong_options_exit_2_without_a_traceback(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    process = shell("--debug", "info", tmp_path / "none.zarr")
    assert process.returncode == 1
    assert b"Traceback" in process.stderr
    process = shell("info", tmp_path / "none.zarr")
    assert process.returncode == 1
    assert process.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "A=@"], 2, "SOURCE"),
        (["--model", "NET:build", "--model", "NET:build"], 2, "two models"),
        (["--model", "NET:build", "--batch-size", "many"], 2, "--batch-size"),
        (["--model", "NET:build", "--batch-size", "0"], 2, "--batch-size"),
        (["--model", "NET:build", "--workers", "-1"], 2, "--workers"),
        (["--model", "NET:build", "--batch-size", "9" * 5000], 2, "--batch-size"),
        (["--model", "NET:nothing"], 2, "no function"),
        (["--model", "alexnett"], 2, "no model"),
        (["--model", "NET:build", "--layers", "nothing"], 2, "no layer"),
        (["--model", "NET:build", "--passes", "ablation"], 2, "name them with --cue-conflict DIR"),
        (["--model", "NET:build", "--images", "none"], 2, "no folder"),
        (["--model", "NET:build", "--dtype", "int8"], 2, "--precision"),
    ],
)
def test_wrong_usage_of_precompute(
    tmp_path: Path, network_file: Path, image_folder: Path, arguments: list[str], code: int, said: str
) -> None:
    arguments = [argument.replace("NET", str(network_file)) for argument in arguments]
    options = ["--images", image_folder, "--store", tmp_path / "a.zarr", "--device", "cpu", "--workers", "0"]
    assert said in fails(code, "precompute", *options, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_store_is_not_replaced(store_copy: Path, network_file: Path, image_folder: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in store_copy.rglob("*"))
    said = fails(2, "precompute", "--model", f"{network_file}:build", "--images", image_folder, "--store", store_copy)
    assert "--overwrite" in said
    assert sorted(path.stat().st_mtime_ns for path in store_copy.rglob("*")) == before


# --- show, doctor ----------------------------------------------------------------------------------------------------


def test_show_writes_a_picture_and_prints_the_numbers(small_store: Path, tmp_path: Path) -> None:
    for view in ("crop", "mask", "whole"):
        path = tmp_path / f"{view}.png"
        text = succeeds("show", small_store, "Tiny/block2/4", "-o", path, "--view", view)
        assert text.splitlines()[0] == "Tiny/block2/4"
        assert "\x1b" not in text
        picture = Image.open(path)
        assert picture.format == "PNG"
        assert min(picture.size) > 200
    store = open_store(small_store)
    top = store.top(store.unit("Tiny/block2/4"))
    assert [store.image_name(int(image)) in text for image in top.image] == [True] * 6


def test_show_into_a_pipe_is_plain(small_store: Path) -> None:
    process = shell("show", small_store, "Tiny/block1/0")
    assert process.returncode == 0
    assert process.stderr == b""
    assert b"\x1b" not in process.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["Tiny"], 2, "MODEL/LAYER/INDEX"),
        (["Tiny/block1/99"], 2, "0 to 15"),
        (["Tiny/block1/0", "--view", "nice"], 2, "crop"),
        (["Tiny/block1/0", "-o", "unit.gif"], 2, ".png"),
        (["Tiny/block1/0", "-o", "none/unit.png"], 1, "cannot be written"),
    ],
)
def test_wrong_usage_of_show(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("show", small_store, *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_marks_are_listed_and_written(small_store: Path, tmp_path: Path) -> None:
    assert succeeds("marks", small_store) == ""
    assert "use --json without it" in fails(2, "marks", small_store, "-o", tmp_path / "marked", "--json")
    assert "no unit is marked" in fails(1, "marks", small_store, "-o", tmp_path / "marked")
    store = open_store(small_store)
    Marks(store).set(store.unit("Tiny/block2/4"), "stripes\x1b[31m")
    assert succeeds("marks", small_store) == "Tiny/block2/4  stripes\\x1b[31m\n"
    assert json.loads(succeeds("marks", small_store, "--json")) == [
        {"unit": "Tiny/block2/4", "note": "stripes\x1b[31m"}
    ]
    assert succeeds("marks", small_store, "-o", tmp_path / "marked") == f"marks: {tmp_path / 'marked/marks.md'}\n"
    assert (tmp_path / "marked/001.png").is_file()


def test_doctor() -> None:
    facts = json.loads(succeeds("doctor", "--json"))
    assert facts["shapebias"] == shapebias.__version__
    assert facts["packages"]["numpy"]
    assert facts["terminal"] == {"interactive": False}
    text = succeeds("doctor")
    assert "torch" in text
    assert "\x1b" not in text


# --- export-images ---------------------------------------------------------------------------------------------------


def test_export_images_writes_folders_once(tmp_path: Path) -> None:
    out = tmp_path / "shapes"
    assert succeeds("export-images", out, "--split", "probe", "--count", 16).splitlines() == [
        f"16 images in {out / 'probe'}"
    ]
    assert len(list(out.glob("probe/*/*.png"))) == 16
    assert "is not empty" in fails(2, "export-images", out, "--split", "train", "--count", 16)
    assert "no split" in fails(2, "export-images", tmp_path / "other", "--split", "test")
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]


# --- the whole way ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_images_to_numbers_in_a_shell(network_file: Path, image_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for label in (0, 1):
        (folder / f"class{label}").mkdir(parents=True)
        for file in (image_folder / f"class{label}").iterdir():
            os.link(file, folder / f"class{label}" / file.name)
    broken = os.fsencode(folder / "class0") + b"/\x1b]0;title\x07\n\xff.png"
    Path(os.fsdecode(broken)).write_bytes(b"")
    odd = os.fsencode(folder / "class1") + b"/\x1b[31m\n\xfe.png"
    os.link(folder / "class1/image0.png", odd)
    process = shell(
        *("precompute", "--model", f"Tiny={network_file}:build", "--images", folder, "--store", tmp_path / "a.zarr"),
        *("--device", "cpu", "--workers", "0", "--top", "12", "--json"),
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == b""
    facts = json.loads(process.stdout.splitlines()[-1])
    assert facts["images"] == 11
    assert facts["skipped"] == [{"path": "class0/\\x1b]0;title\\x07\\n\\xff.png", "reason": "empty file"}]
    assert json.loads(succeeds("info", tmp_path / "a.zarr", "--json"))["skipped"] == facts["skipped"]
    units = succeeds("units", tmp_path / "a.zarr", "--format", "json")
    images = {top["image"] for record in json.loads(units) for top in record["top"]}
    assert "class1/\x1b[31m\n\udcfe.png" in images
    texts = [succeeds("info", tmp_path / "a.zarr"), succeeds("show", tmp_path / "a.zarr", "Tiny/block1/0"), units]
    for text in (process.stdout.decode(), *texts):
        assert not {"\x1b", "\x07"} & set(text)


@pytest.mark.slow
def test_a_reader_that_stops_early_sees_no_traceback(small_store: Path) -> None:
    command = f"{sys.executable} -m shapebias units {small_store} --format json | head -c 10"
    process = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert process.stdout.startswith(b"[")
    assert process.stderr == b""


@pytest.mark.slow
def test_output_in_a_narrow_encoding_works(small_store: Path) -> None:
    for arguments in (["info", small_store], ["units", small_store], ["show", small_store, "Tiny/block1/0"]):
        process = shell(*arguments, env={"PYTHONIOENCODING": "ascii"})
        assert b"Traceback" not in process.stderr
        assert process.returncode == 0
