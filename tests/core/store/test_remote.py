"""Stores by URL, with their manifest and without; errors on one line. On S3: tests/precompute/test_sources.py."""

import hashlib
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.analysis.verify import verify_store
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.remote import filesystem, is_url, stamp
from shapebias.core.store import manifest
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.units.table import load_units, unit_records
from tests.support.old_store import as_version_1

URL = "memory://stores/small.zarr"


@pytest.fixture
def files(small_store: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """The small store in memory, at URL."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{small_store}/", f"{URL}/", recursive=True)
    yield memory
    memory.rm("/stores", recursive=True)


def old_manifest(store: Path) -> bytes:
    """As early versions wrote it: with digests of metadata."""
    name = next(name for name in (manifest.NAME, manifest.EARLY_NAME) if (store / name).exists())
    content = json.loads((store / name).read_bytes())
    content["metadata"] = {
        name: hashlib.sha256((store / name).read_bytes()).hexdigest() for name in content["metadata"]
    }
    return json.dumps(content).encode()


def test_with_and_without_its_manifest(small_store: Path, files: fsspec.AbstractFileSystem) -> None:
    here = load_units(open_store(small_store)).columns
    there, early = f"{URL}/{manifest.NAME}", f"{URL}/{manifest.EARLY_NAME}"
    changes = (
        lambda: None,
        lambda: files.mv(there, early),
        lambda: files.pipe(early, old_manifest(small_store)),
        lambda: files.rm(early),
    )
    for change in changes:
        change()
        store = open_store(URL)
        assert store.identity == URL
        columns = load_units(store).columns
        assert {name: values.tobytes() for name, values in columns.items()} == {
            name: values.tobytes() for name, values in here.items()
        }
        assert store.has("models/Tiny/top")
        assert not store.has("concepts")
    files.pipe(early, b'{"files": 3}')
    with pytest.raises(ShapebiasError, match=r"is damaged at manifest\.json: it cannot be read"):
        open_store(URL)


class WithoutRanges(http.server.SimpleHTTPRequestHandler):
    """Python's own server: it gives whole files, whatever part is asked for."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(small_store: Path) -> Iterator[str]:
    """The URL of a server of the small store's folder."""
    handler = partial(WithoutRanges, directory=str(small_store.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/{small_store.name}"
        listening.shutdown()
        thread.join()


def test_a_server_that_knows_no_ranges(small_store: Path, server: str) -> None:
    pytest.importorskip("aiohttp")
    here, there = open_store(small_store), open_store(server)
    assert unit_records(there, load_units(there)) == unit_records(here, load_units(here))
    unit = here.unit("Tiny/block2/3")
    np.testing.assert_array_equal(there.top(unit).map, here.top(unit).map)
    image = int(here.top(unit).image[0])
    assert there.thumbnail("Tiny", image) == here.thumbnail("Tiny", image)


def test_old_manifests_are_verified_by_digest(store_copy: Path) -> None:
    early = as_version_1(store_copy, store_copy.with_name("early.zarr"))
    (early / manifest.EARLY_NAME).write_bytes(old_manifest(early))
    assert not verify_store(early).wrong
    metadata = early / "models/Tiny/zarr.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"  ", b" \t", 1))
    assert ("models/Tiny/zarr.json", "the metadata changed") in verify_store(early).wrong


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
    assert "copy it here first" in result.stderr or "check the URL" in result.stderr
