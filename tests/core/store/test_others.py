"""Stores of earlier versions, in zips, and as other programs see them: zarr without a warning, xarray."""

import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.describe import store_facts
from shapebias.core.analysis.verify import verify_store
from shapebias.core.errors import ShapebiasError
from shapebias.core.store.concepts import layer_concepts, read_concepts
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.table import load_units, unit_records
from tests.support.old_store import as_version_1


def assert_the_same(one: Store, other: Store) -> None:
    """Units, their lists and maps, and the activations of each image are the same in two stores."""
    assert unit_records(one, load_units(one)) == unit_records(other, load_units(other))
    assert list(one.layers("Tiny")) == list(other.layers("Tiny"))
    for layer in one.layers("Tiny"):
        for unit in (0, 15):
            name = f"Tiny/{layer}/{unit}"
            np.testing.assert_array_equal(one.top(one.unit(name)).map, other.top(other.unit(name)).map)
        for kind in ("max", "mean"):
            values = [store.activations("Tiny", layer, kind) for store in (one, other)]
            assert values[0].shape == values[1].shape
            np.testing.assert_array_equal(values[0][3:9, -2], values[1][3:9, -2])
            np.testing.assert_array_equal(values[0][...], values[1][...])


def test_a_store_of_version_1_is_read(concept_store: Path, tmp_path: Path) -> None:
    new, old = open_store(concept_store), open_store(as_version_1(concept_store, tmp_path / "old.zarr"))
    assert_the_same(new, old)
    facts, early = (store_facts(store) for store in (new, old))
    assert (facts["version"], early["version"]) == (2, 1)
    assert facts["models"] == early["models"]
    concepts = read_concepts(old)
    assert concepts is not None
    for layer in old.layers("Tiny"):
        counts = [layer_concepts(store, concepts, "Tiny", layer) for store in (new, old)]
        np.testing.assert_array_equal(counts[0].intersection, counts[1].intersection)
    report = verify_store(tmp_path / "old.zarr")
    assert report.wrong == report.notes == []


@pytest.mark.parametrize("folder", ["", "small.zarr/", "a/b/small.zarr/"])
def test_a_zipped_store_is_read(small_store: Path, tmp_path: Path, folder: str) -> None:
    path = tmp_path / "store.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in small_store.rglob("*"):
            archive.write(file, f"{folder}{file.relative_to(small_store).as_posix()}")
    assert_the_same(open_store(small_store), open_store(path))
    with pytest.raises(ShapebiasError, match="unzip it first"):
        verify_store(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda path: path.write_text("text"), "neither a folder nor a zip"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "a zip without a shapebias store"),
    ],
)
def test_files_that_are_no_stores_are_one_line(tmp_path: Path, content: Callable[[Path], object], said: str) -> None:
    content(tmp_path / "a.zip")
    with pytest.raises(StoreError, match=said):
        open_store(tmp_path / "a.zip")


def test_a_zip_that_lacks_a_file_is_damage(small_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in small_store.rglob("*"):
            if "metrics/c" not in file.as_posix():
                archive.write(file, file.relative_to(small_store).as_posix())
    with pytest.raises(StoreError, match="1 of its 1 files are missing"):
        load_units(open_store(path))


def test_zarr_lists_a_store_without_a_warning(small_store: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        members = dict(zarr.open_group(small_store, mode="r").members(max_depth=None))
    arrays = [node for node in members.values() if isinstance(node, zarr.Array)]
    assert len(arrays) > 10
    for array in arrays:
        assert array.metadata.dimension_names is not None
        assert len(array.metadata.dimension_names) == array.ndim
        assert None not in array.metadata.dimension_names


def test_xarray_opens_a_store_as_a_tree(small_store: Path) -> None:
    pytest.importorskip("xarray")
    code = """
import sys, warnings
import xarray
warnings.simplefilter("error")
tree = xarray.open_datatree(sys.argv[1], engine="zarr", consolidated=False)
model = tree["models/Tiny"]
assert model.metrics.sizes == {"metric": len(model.attrs["metrics"]), "unit": 70}, model.metrics.sizes
print(float(model.metrics[model.attrs["metrics"].index("max"), 3]))
assert tree["models/Tiny/activations"]["max"].dims == ("image", "unit")
"""
    done = subprocess.run([sys.executable, "-c", code, str(small_store)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(open_store(small_store).metric("Tiny", "block1", "max")[3]))


def test_files_do_not_grow_with_the_layers(small_store: Path, make_store: Callable[..., Path], tmp_path: Path) -> None:
    one = make_store(tmp_path / "one.zarr", layers="block1")
    files = [sum(path.is_file() for path in store.rglob("*")) for store in (one, small_store)]
    assert files[1] - files[0] <= 2 * 3, "at most three files for each of two further layers"
