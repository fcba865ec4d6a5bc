"""A check of a store finds damage and names its path."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.verify import verify_store
from tests.support.damaged_store import attributes
from tests.support.layer_values import set_values


def change(store: Path, path: str, index: tuple[int, ...], value: float) -> None:
    """Writes a value through zarr: checksums are right, the manifest may say that a file has another size."""
    if path.startswith("Tiny/"):
        model, layer, name = path.split("/", 2)
        set_values(store, (model, layer), name, index, value)
        return
    array = zarr.open_group(store, mode="r+")[path]
    assert isinstance(array, zarr.Array)
    array[index] = value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "index", "value", "what"),
    [
        ("images/probe/label", (3,), 99, "of 10 classes"),
        ("models/Tiny/decision", (3,), -7, "where -1 is possible"),
        ("models/Tiny/probability", (3,), 1.5, "where 0 to 1.00001 is possible"),
        ("Tiny/block1/top/image", (2, 1), 5000, "where -1 to 49 is possible"),
        ("Tiny/block1/top/position", (2, 1, 0), 77, "is possible"),
        ("Tiny/block1/top/value", (2, 0), 77, "not the unit's max"),
        ("Tiny/block1/top/value", (2, 5), 77, "not sorted"),
        ("Tiny/block1/top/value", (2, 5), np.nan, "values are NaN where there are images"),
        ("Tiny/block1/metrics/sparsity", (2,), 1.5, "is possible"),
        ("Tiny/block1/metrics/smoothness", (2,), -0.5, "is possible"),
    ],
)
def test_numbers_that_cannot_be_are_named(
    store_copy: Path, path: str, index: tuple[int, ...], value: float, what: str
) -> None:
    change(store_copy, path, index, value)
    wrong = verify_store(store_copy).wrong
    assert any(name == path and what in said for name, said in wrong), wrong


def test_more_of_both_than_of_one_is_wrong(concept_store: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(concept_store, tmp_path / "copy.zarr"))
    path = "Tiny/block1/concepts/intersection"
    change(copy, path, (0, 0), 10**9)
    assert (path, "the intersection is larger than one of the two areas") in verify_store(copy).wrong


def test_a_store_without_a_manifest_is_checked_but_for_its_metadata(store_copy: Path) -> None:
    shutil.rmtree(store_copy / "manifest")
    report = verify_store(store_copy)
    assert not report.wrong
    assert "no manifest" in report.notes[0]


def test_files_that_no_array_owns_and_unknown_arrays_are_noted(store_copy: Path) -> None:
    (store_copy / "notes\x1b.txt").write_text("mine")
    zarr.open_group(store_copy, mode="r+").create_array("models/Tiny/more", data=np.ones(3))
    report = verify_store(store_copy)
    assert not report.wrong
    assert "notes\\x1b.txt does not belong to the store" in report.notes
    assert "models/Tiny/more is an array that this version does not know" in report.notes


def test_an_array_of_another_type_is_wrong(store_copy: Path) -> None:
    root = zarr.open_group(store_copy, mode="r+")
    root.create_array("models/Tiny/distortions/grey", data=np.ones(50))
    [(path, what)] = verify_store(store_copy).wrong
    assert path == "models/Tiny/distortions/grey"
    assert what == "it is float64 of 1 axes, not int32 of 1"


def test_changed_metadata_is_found_though_it_fits(store_copy: Path) -> None:
    file = store_copy / "models/Tiny/zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["top1"] = 0.75
    file.write_text(json.dumps(content))
    [(path, _)] = verify_store(store_copy).wrong
    assert path == "models/Tiny/zarr.json"


def test_what_cannot_be_read_is_told_by_its_path_whatever_that_holds(store_copy: Path) -> None:
    label = "a: b is damaged at c"
    (store_copy / "models/Tiny").rename(store_copy / f"models/{label}")
    attributes(store_copy / f"models/{label}/zarr.json", lambda facts: facts.update(label=label))
    attributes(store_copy / "zarr.json", lambda facts: facts.update(models=[label]))
    attributes(store_copy / f"models/{label}/zarr.json", lambda facts: facts["layer_facts"][0].pop("units"))
    assert (f"models/{label}", "'units'") in verify_store(store_copy).wrong


@pytest.mark.parametrize("kinds", ["none", "max"])
def test_less_of_each_image_is_not_wrong(make_store: Callable[..., Path], tmp_path: Path, kinds: str) -> None:
    assert not verify_store(make_store(tmp_path / "a.zarr", activations=kinds)).wrong
