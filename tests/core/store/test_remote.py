"""Stores by URL, with their manifest and without; errors on one line. (On S3: tests/precompute/test_sources.py.)"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.analysis.verify import verify_store
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.remote import filesystem, is_url, stamp
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.units.table import load_units

URL = "memory://stores/small.zarr"


@pytest.fixture
def files(small_store: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """The small store in memory, at URL."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{small_store}/", f"{URL}/", recursive=True)
    yield memory
    memory.rm("/stores", recursive=True)


def old_manifest(small_store: Path) -> bytes:
    """As early versions wrote it: with digests of metadata."""
    content = json.loads((small_store / "manifest.json").read_bytes())
    names = content["metadata"]
    content["metadata"] = {name: hashlib.sha256((small_store / name).read_bytes()).hexdigest() for name in names}
    return json.dumps(content).encode()


def test_with_and_without_its_manifest(small_store: Path, files: fsspec.AbstractFileSystem) -> None:
    here = load_units(open_store(small_store)).columns
    manifest = f"{URL}/manifest.json"
    for change in (lambda: None, lambda: files.pipe(manifest, old_manifest(small_store)), lambda: files.rm(manifest)):
        change()
        there = open_store(URL)
        assert there.identity == URL
        columns = load_units(there).columns
        assert {name: values.tobytes() for name, values in columns.items()} == {
            name: values.tobytes() for name, values in here.items()
        }
        assert there.has("models/Tiny/layers/block1/top")
        assert not there.has("concepts")
    files.pipe(manifest, b'{"files": 3}')
    with pytest.raises(ShapebiasError, match=r"is damaged at manifest\.json: it cannot be read"):
        open_store(URL)


def test_old_manifests_are_verified_by_digest(store_copy: Path) -> None:
    (store_copy / "manifest.json").write_bytes(old_manifest(store_copy))
    assert not verify_store(store_copy).wrong
    metadata = store_copy / "models/Tiny/zarr.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"  ", b" \t", 1))
    assert ("models/Tiny/zarr.json", "the metadata changed") in verify_store(store_copy).wrong


def test_joined_with_one_of_this_machine(small_store: Path, files: fsspec.AbstractFileSystem) -> None:
    both = open_stores([str(small_store), URL, small_store, f"{URL}/"])
    assert list(both.models) == ["Tiny", "Tiny@small"]
    here, there = (both.top(both.unit(f"{model}/block2/3")) for model in both.models)
    assert (here.value == there.value).all()


@pytest.mark.parametrize(
    "text", ["s3://bucket/a", "memory://a", "file:///data", "simplecache::s3://b/a", "memory:///a"]
)
def test_urls(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["/data/a", "photos", "a.zarr", "C:/data", "://a", "builtin:probe", "./s3://a", "s3://"]
)
def test_paths(text: str) -> None:
    assert not is_url(text)


def test_a_digest_tells_more_than_times() -> None:
    facts = {"size": 3, "ETag": "x", "LastModified": 1}
    assert stamp("a", facts) == stamp("a", facts | {"LastModified": 2})
    assert stamp("a", facts) != stamp("a", facts | {"ETag": "y"})
    assert stamp("a", {"size": 3, "mtime": 1}) != stamp("a", {"size": 3, "mtime": 2})


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UsageError, match=r"s3://a/b needs fsspec: pip install 'shapebias\[remote\]'"):
        filesystem("s3://a/b")


@pytest.mark.parametrize(
    "command", [["verify", URL], ["precompute", "--model", "alexnet", "--store", URL], ["units", "memory://no.zarr"]]
)
def test_commands_say_it_in_one_line(command: list[str]) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code in (1, 2)
    assert len(result.stderr.splitlines()) == 1
    assert "copy the store" in result.stderr or "check the URL" in result.stderr
