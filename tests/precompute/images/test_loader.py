"""Batches are the same for any number of workers, whatever dies on the way; nothing is left behind."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.images import worker
from shapebias.precompute.images.decode import encode_thumbnail, read_pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import Skipped
from shapebias.precompute.images.loader import Loader, default_workers
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.images.worker import kept_workers
from tests.support.loader_decoders import facts, moody, number, numbered_pair, slow

GEOMETRY = Geometry(20, 16)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 images, of which numbers 0, 7, and 15 to 19 (a whole batch of 5) cannot be read."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(23):
        path = root / f"{index:02}.png"
        if index in (0, 7, 15, 16, 17, 18, 19):
            path.write_bytes(b"junk" if index % 2 else b"")
        else:
            size = (*random.integers(10, 60, 2), 3)
            Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
    return root


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def shared_memory() -> int:
    return sum(
        "shapebias-images" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()
    )


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> object:
    before = children()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        yield
        gc.collect()
    assert children() == before
    assert shared_memory() == 0


def interrupt(loader: Loader) -> None:
    for _ in loader:
        raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [5, 100])
def test_batches(photos: Path, workers: int, batch_size: int) -> None:
    images, _ = list_images(photos)
    bad = [0, 7, 15, 16, 17, 18, 19]
    seen: list[int] = []
    with Loader(photos, images.paths, GEOMETRY, batch_size, workers=workers, thumbnails=True) as loader:
        for batch in loader:
            first = batch.positions[0] // batch_size * batch_size
            positions = [index for index in range(first, min(first + batch_size, 23)) if index not in bad]
            assert batch.positions.tolist() == positions
            assert batch.positions.dtype == np.int64
            assert batch.pixels.flags.c_contiguous
            expected = np.stack(
                [read_pixels(photos / os.fsdecode(images.paths[index]), GEOMETRY) for index in positions]
            )
            np.testing.assert_array_equal(batch.pixels, expected)
            assert batch.thumbnails == [encode_thumbnail(image) for image in expected]
            seen += positions
    assert seen == [index for index in range(23) if index not in bad]
    foreign = "not a JPEG, PNG or other image of a known kind"
    assert loader.skipped == [Skipped(images.paths[i], foreign if i % 2 else "empty file") for i in bad]


@pytest.mark.parametrize("workers", [0, 1])
def test_no_images_and_thumbnails_not_asked_for(tmp_path: Path, workers: int) -> None:
    with Loader(tmp_path, [], GEOMETRY, 4, workers=workers) as loader:
        assert list(loader) == []
    with Loader(tmp_path, [b"n5"], GEOMETRY, 4, workers=workers, decode_function=number) as loader:
        (batch,) = loader
        assert batch.thumbnails is None
        assert batch.pixels.shape == (1, 16, 16, 3)
        assert set(batch.pixels.ravel().tolist()) == {5}


def test_relative_roots_survive_a_change_of_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    with Loader(Path(), [b"01.png"], GEOMETRY, 4, workers=1) as loader:
        monkeypatch.chdir("/")
        assert len(next(iter(loader)).positions) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_only_the_image_that_kills_a_fresh_worker_is_skipped(tmp_path: Path, workers: int) -> None:
    paths = [b"n1", b"n2", b"o3", b"n4", b"k5", b"e6", b"n7", b"p8", b"n9"]
    with Loader(tmp_path, paths, GEOMETRY, 6, workers=workers, decode_function=moody) as loader:
        kept = [pair for b in loader for pair in zip(b.positions.tolist(), b.pixels[:, 0, 0, 0].tolist(), strict=True)]
    assert kept == [(0, 1), (1, 2), (2, 3), (3, 4), (6, 7), (7, 8), (8, 9)]
    assert loader.skipped == [Skipped(b"k5", "the decoder crashed on it"), Skipped(b"e6", "damaged")]


@pytest.mark.parametrize("workers", [0, 1])
def test_bugs_come_out(tmp_path: Path, workers: int) -> None:
    loader = Loader(tmp_path, [b"n1", b"v2"], GEOMETRY, 1, workers=workers, decode_function=moody)
    with loader, pytest.raises(ValueError, match="a bug") as caught:
        list(loader)
    assert workers == 0 or "in moody" in caught.value.__notes__[0]


def test_workers_are_nice_light_and_ignore_interrupts(tmp_path: Path) -> None:
    with Loader(tmp_path, [b"n1"], GEOMETRY, 1, workers=1, decode_function=facts) as loader:
        (batch,) = loader
        assert batch.pixels[0, 0, 0].tolist() == [min(os.nice(0) + 5, 19), 1, 1]


def test_memory_is_bounded_and_decoding_waits_for_the_caller(tmp_path: Path) -> None:
    paths = [b"n%d" % (index % 256) for index in range(1000)]
    with Loader(tmp_path, paths, GEOMETRY, 10, workers=2, decode_function=number) as loader:
        for index, batch in enumerate(loader):
            owner = batch.pixels
            while isinstance(owner, np.ndarray):
                owner = owner.base
            assert len(memoryview(owner)) == 3 * 10 * 16 * 16 * 3
            if index < 3:
                time.sleep(0.05)  # workers would overwrite the batch now, if they could
            assert batch.pixels[:, 3, 3, 1].tolist() == [(10 * index + offset) % 256 for offset in range(10)]
    assert index == 99


def test_workers_decode_before_they_are_asked(tmp_path: Path) -> None:
    paths = [b"n%d" % index for index in range(60)]
    with Loader(tmp_path, paths, GEOMETRY, 20, workers=2, decode_function=slow) as loader:
        iterator = iter(loader)
        next(iterator)
        time.sleep(1)
        start = time.perf_counter()
        next(iterator)
        next(iterator)
        assert time.perf_counter() - start < 0.3  # 40 images take 0.4 s


def test_every_way_out_cleans_up(photos: Path) -> None:
    paths = list_images(photos)[0].paths

    def start() -> Loader:
        return Loader(photos, paths, GEOMETRY, 5, workers=1)

    batch = next(iter(start()))
    assert shared_memory() == 1  # the batch's: the generator was closed, though there was no `with`
    del batch
    assert shared_memory() == 0
    with pytest.raises(KeyboardInterrupt), start() as loader:
        interrupt(loader)
    with start() as loader:
        pass
    with start() as loader:
        batch = next(iter(loader))
        loader.close()
        loader.close()
    assert batch.pixels.sum() > 0  # memory that is still used is still there
    with pytest.raises(RuntimeError, match="closed"):
        next(iter(loader))
    with pytest.raises((AttributeError, TypeError)):  # not picklable: fails before anything is started
        Loader(photos, paths, GEOMETRY, 5, workers=2, decode_function=lambda path: np.zeros(1, np.uint8))


def test_workers_are_kept_for_the_next_loader(tmp_path: Path) -> None:
    """Whatever they decode, also after one died; those that may be at work are not kept."""

    def values(paths: list[bytes], versions: int | None) -> list[int]:
        decode = number if versions is None else numbered_pair
        with Loader(tmp_path, paths, GEOMETRY, 3, workers=2, decode_function=decode, version_count=versions) as loader:
            return [value for batch in loader for value in batch.pixels[..., 0, 0, 0].ravel().tolist()]

    before = children()
    paths = [b"n%d" % index for index in range(8)]
    with kept_workers():
        assert values(paths, None) == list(range(8))
        workers = children() - before
        assert len(workers) == 2
        assert values(paths, 2) == [value for index in range(8) for value in (index, index + 100)]
        assert values(paths[:2], None) == [0, 1]
        assert children() - before == workers
        with Loader(tmp_path, paths, GEOMETRY, 3, workers=1, decode_function=number) as outer:
            batches = iter(outer)
            next(batches)
            assert values(paths, None) == list(range(8)), "another loader has others"
        os.kill(min(children() - before), signal.SIGKILL)
        assert values(paths, None) == list(range(8))
    assert children() == before


def test_workers_that_do_not_start(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.sys, "executable", "/bin/false")
    with (
        Loader(photos, [b"01.png"], GEOMETRY, 5, workers=2) as loader,
        pytest.raises(ShapebiasError, match="--workers 0"),
    ):
        list(loader)


SCRIPT = """
    import sys
    from pathlib import Path
    from shapebias.precompute.images.decode import Geometry
    from shapebias.precompute.images.loader import Loader
    root = Path(sys.argv[1])
    loader = Loader(root, sorted(p.name.encode() for p in root.iterdir()), Geometry(20, 16), 5, workers=1)
    print(sum(len(batch.positions) for batch in loader), end=" ")
    unclosed = Loader(root, [b"01.png"] * 9, Geometry(20, 16), 2, workers=1)
"""


@pytest.mark.parametrize("how", ["stdin", "-c", "file without a __main__ guard", "-m"])
def test_any_kind_of_caller(photos: Path, tmp_path: Path, how: str) -> None:
    code = textwrap.dedent(SCRIPT)
    (tmp_path / "script.py").write_text(code)
    arguments = {"stdin": ["-"], "-c": ["-c", code], "-m": ["-m", "script"]}.get(how, [str(tmp_path / "script.py")])
    done = subprocess.run(
        [sys.executable, *arguments, str(photos)],
        input=code if how == "stdin" else "",
        capture_output=True,
        text=True,
        cwd=tmp_path if how == "-m" else ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("16 ", "", 0)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_caller(photos: Path, stop: signal.Signals) -> None:
    code = textwrap.dedent(SCRIPT.split("print")[0]).replace("5, workers=1)", "5, workers=2); loader._paths *= 100_000")
    code += "print('ready', flush=True)\nfor _ in loader: pass\n"
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code  # a shell may ignore it
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(photos)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    workers = list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))
    assert len(workers) == 2
    process.send_signal(stop)
    _, errors = process.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "resource_tracker" not in errors
    assert ("KeyboardInterrupt" in errors) == (stop == signal.SIGINT)
    assert errors.count("Traceback") == (stop == signal.SIGINT)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_default_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for cpus, images, expected in ((1, 1000, 1), (2, 1000, 2), (64, 100_000, 64), (64, 100, 4), (64, 0, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cpus=cpus: set(range(cpus)))
        assert default_workers(images) == expected


def test_decoding_does_not_import_torch() -> None:
    code = "import sys, shapebias.precompute.images.loader; print({'torch', 'textual', 'zarr'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"
