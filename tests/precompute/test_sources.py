"""The same images from a folder, tar files, a list and a server make the same store, to the byte."""

import errno
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from shapebias.core.analysis.describe import store_text
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from shapebias.core.store.remote import RemoteFiles
from shapebias.core.store.single import SingleStore
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import load_units
from shapebias.precompute.images import fetch
from shapebias.precompute.images.decode import read_image
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.inputs import image_digest
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.scan import Parts, Scan
from tests.support.store_arrays import arrays_of

pytestmark = pytest.mark.slow

SETTINGS: dict[str, object] = {
    "passes": ("sensitivity", "distortions", "dissection"),
    "distortions": ("silhouette", "noise"),
    "layers": "block3",
    "limit": 20,
}


@pytest.fixture(scope="module")
def sources(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images as one tar file, as a folder of two, and as a list."""
    root = tmp_path_factory.mktemp("sources")
    paths = sorted(image_folder.rglob("*.*"), key=lambda path: path.name)
    (root / "shards").mkdir()
    for name, some in (("all", paths), ("shards/0", paths[:20]), ("shards/1", paths[20:])):
        with tarfile.open(root / f"{name}.tar", "w") as archive:
            for path in some:
                archive.add(path, path.relative_to(image_folder))
    ordered = sorted(paths, key=lambda path: path.relative_to(image_folder).parts)
    (root / "list.txt").write_text("\n".join(map(str, ordered)))
    return root


@pytest.fixture(scope="module")
def whole(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """The arrays of a store made from the folder."""
    return arrays_of(make_store(tmp_path_factory.mktemp("whole") / "a.zarr", **SETTINGS))


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
        fsspec.filesystem("s3").clear_instance_cache()
        server.stop()


@pytest.mark.parametrize("name", ["shards", "list.txt"])
def test_tar_files_and_lists(
    make_store: Callable[..., Path], sources: Path, whole: object, tmp_path: Path, name: str
) -> None:
    store = make_store(tmp_path / "a.zarr", images=str(sources / name), **SETTINGS, workers=1)
    assert arrays_of(store) == whole


def test_on_a_server(
    make_store: Callable[..., Path], image_folder: Path, sources: Path, bucket: str, whole: object, tmp_path: Path
) -> None:
    files = fsspec.filesystem("s3")
    files.put(f"{image_folder}/", f"{bucket}/images/", recursive=True)
    files.put(f"{sources}/shards/", f"{bucket}/shards/", recursive=True)
    names = [os.fsdecode(path) for path in find_images(str(image_folder))[0].paths]
    files.pipe(f"{bucket}/list.txt", "\n".join(f"images/{name}" for name in names).encode())
    by_name = {}
    for name in ("images", "shards", "shards/{0..1}.tar", "shards/*.tar", "list.txt"):
        by_name[name], skipped = find_images(f"{bucket}/{name}")
        assert ([os.fsdecode(path) for path in by_name[name].paths], skipped) == (names, [])
        assert len(set(by_name[name].labels.tolist())) == 10
    before = {name: image_digest(images) for name, images in by_name.items()}
    assert before == {name: image_digest(find_images(f"{bucket}/{name}")[0]) for name in by_name}
    assert arrays_of(make_store(tmp_path / "a.zarr", images=f"{bucket}/images", **SETTINGS, workers=1)) == whole
    members = by_name["shards"].members
    assert members is not None
    for index in range(0, 50, 7):
        content = fetch.fetch(members.address(names[index].encode(), index).decode())
        assert content == (image_folder / names[index]).read_bytes()
    files.pipe(f"{bucket}/images/{names[0]}", b"other")
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        archive.add(image_folder / names[0], names[0])
    files.put(str(tmp_path / "0.tar"), f"{bucket}/shards/0.tar")
    files.invalidate_cache()
    for name in ("images", "shards"):
        assert image_digest(find_images(f"{bucket}/{name}")[0]) != before[name]


def test_a_stopped_run_goes_on_unless_the_tar_file_changed(
    make_store: Callable[..., Path], sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = LocalEngine.run

    def stop(self: LocalEngine, scan: Scan) -> Parts:
        usual(self, scan)
        raise ShapebiasError("the disk is full")

    shard = tmp_path / "all.tar"
    shard.write_bytes((sources / "all.tar").read_bytes())
    monkeypatch.setattr(LocalEngine, "run", stop)
    with pytest.raises(ShapebiasError, match="disk"):
        make_store(tmp_path / "a.zarr", images=str(shard))
    monkeypatch.setattr(LocalEngine, "run", usual)
    os.utime(shard, (1, 1))
    with pytest.raises(UsageError, match="the list of images, or a size or time of one, changed"):
        make_store(tmp_path / "a.zarr", images=str(shard))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is read from a server from now on."""
    sizes: list[int] = []
    get = RemoteFiles.__mro__[1].get  # type: ignore[attr-defined]

    async def watched(self: RemoteFiles, *arguments: object) -> object:
        value = await get(self, *arguments)
        sizes.append(0 if value is None else len(value))
        return value

    monkeypatch.setattr(RemoteFiles.__mro__[1], "get", watched)
    return sizes


def test_a_store_on_a_server(small_store: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> None:
    url = f"{bucket}/small.zarr"
    fsspec.filesystem("s3").put(f"{small_store}/", f"{url}/", recursive=True)
    here = open_store(small_store)
    sizes = counted(monkeypatch)
    there = open_store(url)
    assert there.layers("Tiny") == here.layers("Tiny")
    assert not sizes, "all metadata came with the manifest"
    tables = [load_units(store, "Tiny", "block3") for store in (here, there)]
    assert all(tables[0].columns[name].tobytes() == tables[1].columns[name].tobytes() for name in tables[0].columns)
    assert len(sizes) == 1, "all metrics came in one piece"
    assert store_text(there).partition(":")[2].partition(" ")[2] == store_text(here).partition(" ")[2]
    unit = there.unit("Tiny/block3/7")
    sizes.clear()
    np_column, column = (store.activation_column(unit, 1 << 20, 4096) for store in (here, there))
    assert column.tobytes() == np_column.tobytes()
    assert len(sizes) <= 2 + there.activations("Tiny", "block3", "max").shape[0] // 1024
    top = there.top(unit)
    assert top.map.tobytes() == here.top(unit).map.tobytes()
    assert there.thumbnail("Tiny", int(top.image[0])) == here.thumbnail("Tiny", int(top.image[0]))
    sizes.clear()
    there.thumbnail("Tiny", int(top.image[0]))
    assert isinstance(there, SingleStore)
    there._cached_top.cache_clear()
    there.top(unit)
    assert not sizes, "small reads are kept"
    Marks(there).set(unit, "seen there")
    marks = Marks(open_store(f"{url}/"))
    marks.load()
    assert marks.note(unit) == "seen there"
    assert marks.paths != Marks(here).paths


def test_a_store_on_a_server_that_lacks_a_file(small_store: Path, bucket: str) -> None:
    url = f"{bucket}/cut.zarr"
    files = fsspec.filesystem("s3")
    files.put(f"{small_store}/", f"{url}/", recursive=True)
    files.rm(f"{url}/models/Tiny/metrics/c/0/0")
    store = open_store(url)
    with pytest.raises(ShapebiasError, match="its file models/Tiny/metrics/c/0/0 is missing"):
        store.metric("Tiny", "block1", "max")
    assert not store.has("models/Tiny/more")
    with pytest.raises(StoreError, match=r"it has no zarr\.json: check the URL"):
        open_store(f"{bucket}/nothing.zarr")


def test_errors_of_servers_are_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_WAITS", (0.0,))
    for source, said in (
        (f"{bucket}/nothing", "nothing is in"),
        ("s3://no-such-bucket/images", "check the URL"),
        (f"{bucket}/no.tar", "does not exist: check the URL"),
        (f"{bucket}/no*.tar", "no file matches"),
        ("nosuchprotocol://a/b", "cannot be opened"),
    ):
        with pytest.raises(ShapebiasError, match=said) as caught:
            find_images(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="no such file"):
        read_image(f"{bucket}/no.jpg")


class Moody:
    """A file system that raises the next of `errors`, while there are some."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def cat_file(self, path: str, start: int, end: int | None) -> bytes:
        if self.errors:
            raise self.errors.pop()
        return b"content"


def test_one_image_is_asked_for_again_and_an_outage_stops_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Moody()
    monkeypatch.setattr(fetch, "_WAITS", (0.0, 0.0))
    monkeypatch.setattr(fetch, "filesystem", lambda url: (files, url))
    files.errors = [OSError(121, "x"), ConnectionResetError("x")]
    assert fetch.fetch("s3://bucket/a.jpg") == b"content"
    files.errors = [OSError(121, "x")] * 3
    with pytest.raises(ImageError, match="cannot be read: remote i/o error"):
        read_image("s3://bucket/a.jpg")
    busy = OSError(errno.EBUSY, "slow down")
    for error in (ConnectionRefusedError("x"), TimeoutError("x"), PermissionError("expired"), RuntimeError("x"), busy):
        files.errors = [error] * 3
        with pytest.raises(ShapebiasError, match=r"cannot be read: .*: give the same command again to go on"):
            read_image("s3://bucket/a.jpg")
