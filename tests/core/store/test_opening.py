"""Opening what is a store, and what is none: an error of one line."""

import json
import shutil
from pathlib import Path

import pytest
import zarr

from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from tests.support.damaged_store import attributes, one_line


def test_a_missing_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "none\n.zarr")
    assert "does not exist" in one_line(error)
    assert "shapebias precompute" in one_line(error)


def test_a_folder_and_a_file_that_are_no_stores(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(StoreError) as error:
            open_store(path)
        assert "not a shapebias store" in one_line(error)


def test_a_zarr_store_of_somebody_else(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "other.zarr")
    zarr.create_array(tmp_path / "array.zarr", shape=(3,), dtype="float32")
    with pytest.raises(StoreError, match="not of shapebias"):
        open_store(tmp_path / "other.zarr")
    with pytest.raises(StoreError):
        open_store(tmp_path / "array.zarr")


def test_a_newer_version_asks_for_an_upgrade(store_copy: Path) -> None:
    attributes(store_copy / "zarr.json", lambda facts: facts.update(version=3))
    with pytest.raises(StoreError) as error:
        open_store(store_copy)
    assert "version 3" in one_line(error)
    assert "upgrade" in one_line(error)


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5, [1], True])
def test_a_version_that_is_none_is_damage(store_copy: Path, version: object) -> None:
    attributes(store_copy / "zarr.json", lambda facts: facts.update(version=version))
    with pytest.raises(StoreError) as error:
        open_store(store_copy)
    assert "damaged" in one_line(error)


def test_a_store_without_models(store_copy: Path) -> None:
    shutil.rmtree(store_copy / "models/Tiny")
    with pytest.raises(StoreError):
        open_store(store_copy)


def test_a_store_is_opened_for_reading_only(small_store: Path) -> None:
    store = open_store(small_store)
    with pytest.raises(Exception, match="read"):
        store.array("models/Tiny/metrics")[:] = 0


def test_a_store_of_before_the_digest_of_files_opens(store_copy: Path) -> None:
    attributes = store_copy / "models/Tiny/zarr.json"
    facts = json.loads(attributes.read_text())
    del facts["attributes"]["file_sha256"]
    attributes.write_text(json.dumps(facts))
    consolidated = store_copy / "zarr.json"
    root = json.loads(consolidated.read_text())
    root.pop("consolidated_metadata", None)
    consolidated.write_text(json.dumps(root))
    assert open_store(store_copy).models["Tiny"].file_sha256 is None
