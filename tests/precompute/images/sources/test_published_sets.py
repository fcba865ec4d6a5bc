"""Published sets by name, from archives made here: fetched once, checked, and the images that torchvision has."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torchvision
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.loader import load
from shapebias.precompute.images.sources import published_sets
from shapebias.precompute.images.sources.cifar import cifar_images
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.published_sets import SETS

NAMES = ["airplane", "automobile", "bird"]
SERVED: list[str] = []  # what the server was asked for


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        SERVED.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on a server, with the archives."""
    path = tmp_path_factory.mktemp("server")
    write(path / "cifar-10-python.tar.gz", cifar())
    images = [(f"imagenette2/{split}/n0144076{digit}/a.JPEG", b"x") for split in ("train", "val") for digit in (0, 4)]
    write(path / "imagenette2.tgz", [*images, ("imagenette2/noisy_imagenette.csv", b"")])
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The URL of a local server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def cache(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache's folder of images; the sets come from the server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("cifar10", "imagenette"):
        archive = SETS[name].archive
        digest = hashlib.md5((folder / archive).read_bytes()).hexdigest()
        monkeypatch.setitem(SETS, name, replace(SETS[name], url=f"{server}/{archive}", md5=digest))
    SERVED.clear()
    return tmp_path / "shapebias" / "images"


def write(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def cifar() -> list[tuple[str, bytes]]:
    """CIFAR-10's files, of four images each."""
    rng = np.random.default_rng(0)
    batches = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    contents: dict[str, Any] = {
        name: {"data": rng.integers(0, 256, (4, 3072), np.uint8), "labels": [2, 0, 1, 2]} for name in batches
    }
    contents["batches.meta"] = {"label_names": NAMES}
    return [(f"cifar-10-batches-py/{name}", pickle.dumps(content, 2)) for name, content in contents.items()]


def test_they_are_where_torchvision_has_them() -> None:
    for name, own in (("cifar10", torchvision.datasets.CIFAR10), ("cifar100", torchvision.datasets.CIFAR100)):
        assert (SETS[name].url, SETS[name].md5) == (own.url, own.tgz_md5)
    assert (SETS["imagenette"].url, SETS["imagenette"].md5) == torchvision.datasets.Imagenette._ARCHIVES["full"]


def test_the_images_are_those_of_torchvision(cache: Path, folder: Path, tmp_path: Path) -> None:
    class Cifar(torchvision.datasets.CIFAR10):  # type: ignore[misc]  # the same files, whatever their digests are
        train_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.train_list]  # noqa: RUF012
        test_list = [["test_batch", None]]  # noqa: RUF012
        meta = torchvision.datasets.CIFAR10.meta | {"md5": None}

    with tarfile.open(folder / "cifar-10-python.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    for split, count in (("train", 20), ("test", 4)):
        theirs = Cifar(tmp_path / "unpacked", train=split == "train", download=False)
        images, skipped = find_images(f"cifar10:{split}")
        assert (len(images), len(theirs), skipped) == (count, count, [])
        assert images.class_ids == NAMES
        with load(images, Geometry(32, 32, "bilinear"), 64, 0) as loader:
            for batch in loader:
                for position, pixels in zip(batch.positions, batch.pixels, strict=True):
                    number = int(images.paths[position].decode().rpartition("/")[2].removesuffix(".png"))
                    image, label = theirs[number]
                    assert np.array_equal(pixels, np.asarray(image))
                    assert images.labels[position] == label
    assert SERVED == ["/cifar-10-python.tar.gz"]  # once, for both splits
    assert sorted(path.name for path in cache.iterdir()) == ["cifar10-test.tar", "cifar10-train.tar"]


def test_imagenette_is_in_class_folders(cache: Path) -> None:
    images, _ = find_images("imagenette:val")
    assert images.paths == [b"n01440760/a.JPEG", b"n01440764/a.JPEG"]


def test_what_is_wrong_is_one_line(cache: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str = "cifar10:test", **changes: str) -> str:
        monkeypatch.setitem(SETS, "cifar10", replace(SETS["cifar10"], **changes))
        with pytest.raises(ShapebiasError) as error:
            find_images(name)
        assert not list(cache.iterdir())  # nothing is left
        assert "\n" not in str(error.value)
        return str(error.value)

    good = SETS["cifar10"]
    assert "the server answers 404" in fails(url=f"{server}/nothing.tar.gz")
    message = fails(url="http://127.0.0.1:9/cifar-10-python.tar.gz")
    assert "cannot be reached" in message
    assert f"put it at {cache}/cifar-10-python.tar.gz" in message
    assert "MD5" in fails(url=good.url, md5="0" * 32)
    with pytest.raises(UsageError, match="cifar10:train and cifar10:test"):
        find_images("cifar10:val")


def test_an_archive_in_the_cache_takes_the_place_of_the_server(cache: Path, folder: Path) -> None:
    cache.mkdir(parents=True)
    archive = cache / "cifar-10-python.tar.gz"
    archive.write_bytes(b"cut")
    with pytest.raises(ShapebiasError, match="damaged"):
        find_images("cifar10:test")
    archive.write_bytes((folder / archive.name).read_bytes())
    assert len(find_images("cifar10:test")[0]) == 4
    assert SERVED == []
    assert archive.exists()  # it is the user's


def test_a_pickle_makes_arrays_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return print, ("executed",)

    write(tmp_path / "evil.tar.gz", [("c/meta", pickle.dumps({"fine_label_names": [Evil()]}))])
    with tarfile.open(tmp_path / "evil.tar.gz") as archive, pytest.raises(ShapebiasError, match="does not hold"):
        list(cifar_images(archive))


def test_progress_is_told_in_megabytes(cache: Path) -> None:
    stages = []

    class Told:
        def stage(self, what: str, total: int | None = None, unit: str = "images") -> None:
            stages.append((what, unit))

        def advance(self, steps: int) -> None: ...

    find_images("cifar10:test", progress=Told())
    assert stages == [("downloading cifar10", "MB"), ("unpacking cifar10", "images")]


def test_a_folder_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ShapebiasError, match="cannot"):
        find_images("cifar10:test")


def test_the_command_line_names_the_sets() -> None:
    assert "cifar10:test" in CliRunner().invoke(app, ["precompute", "--help"], terminal_width=200).output
    assert published_sets.is_published("cifar10:anything")
    assert not published_sets.is_published("cifar10")
