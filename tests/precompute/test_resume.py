"""A run that was stopped goes on: with the same bytes in every array as one that was not."""

import gc
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shapebias.core.attribution.choice import parse_choices
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.parts import Part
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.scan import Parts, Scan
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.settings import Settings
from shapebias.precompute.stopping import RunStoppedError, stoppable, uninterrupted
from tests.support import killed_runs
from tests.support.store_arrays import arrays_of

EVERYTHING: dict[str, object] = {
    "passes": ("noise", "sensitivity", "distortions", "dissection", "attribution"),
    "attribution": parse_choices("gradient,random,center"),
    "attribution_steps": 3,
    "shard_size": 16,
}


class PowerCutError(BaseException):
    pass


@pytest.mark.slow
def test_it_goes_on_after_any_shard(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = arrays_of(make_store(tmp_path / "whole.zarr", **EVERYTHING))
    path = tmp_path / "again.zarr"
    measured: list[str] = []
    keep = Shards.keep

    def cut(self: Shards, number: int, part: Part) -> None:
        if len(measured) % 5 == 4:
            measured.append("")
            raise PowerCutError
        keep(self, number, part)
        measured.append(f"{self.folder.name}/{number}")

    monkeypatch.setattr(Shards, "keep", cut)
    cuts = 0
    while not path.exists():
        try:
            make_store(path, **EVERYTHING)
        except PowerCutError:
            cuts += 1
            assert not (tmp_path / "again.zarr.partial/store").exists()
    assert cuts >= 3
    shards = [shard for shard in measured if shard]
    assert len(shards) == len({*shards}), "no shard was measured twice"
    assert arrays_of(path) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zarr", "whole.zarr"]


def test_another_run_is_refused_with_what_differs_or_starts_anew(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = LocalEngine.run

    def stop(self: LocalEngine, scan: Scan) -> Parts:
        usual(self, scan)
        raise ShapebiasError("the disk is full")

    monkeypatch.setattr(LocalEngine, "run", stop)
    with pytest.raises(ShapebiasError, match="disk"):
        make_store(tmp_path / "a.zarr")
    monkeypatch.setattr(LocalEngine, "run", usual)
    with pytest.raises(UsageError, match="holds an unfinished run, but top was 6 and is 7: give the command as it was"):
        make_store(tmp_path / "a.zarr", top=7)
    with pytest.raises(UsageError, match="the list of images, or a size or time of one, changed"):
        make_store(tmp_path / "a.zarr", limit=20)
    make_store(tmp_path / "a.zarr", top=7, restart=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_other_code_or_categories_are_another_run(
    make_store: Callable[..., Path], network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = Path(shutil.copy(network_file, tmp_path))
    usual = LocalEngine.run
    monkeypatch.setattr(LocalEngine, "run", lambda *given: usual(*given) and stop_now())
    with pytest.raises(RunStoppedError):
        make_store(tmp_path / "a.zarr", models=parse_specs([f"{code}:build"]))
    monkeypatch.setattr(LocalEngine, "run", usual)
    code.write_text(code.read_text().replace("nn.ReLU()", "nn.ELU()"))
    with pytest.raises(UsageError, match=r"the file .*tiny\.py changed"):
        make_store(tmp_path / "a.zarr", models=parse_specs([f"{code}:build"]))


def stop_now() -> None:
    raise RunStoppedError("enough")


@contextmanager
def little_room() -> Iterator[None]:
    """Files cannot grow beyond 70 kB: less than a shard's part has, and than the store's thumbnails."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {"shard_size": 16}
    whole = arrays_of(make_store(tmp_path / "whole.zarr", **settings))
    path, said = tmp_path / "again.zarr", "file too large.*: put that right and give the same command to go on"

    def kept() -> int:
        return len(list(tmp_path.glob("again.zarr.partial/shards/*/*.npz")))

    with pytest.raises(ShapebiasError, match=said), little_room():
        make_store(path, **settings)
    assert kept() == 0
    usual = LocalEngine.run
    monkeypatch.setattr(LocalEngine, "run", lambda *given: usual(*given) and stop_now())
    with pytest.raises(RunStoppedError):
        make_store(path, **settings)
    monkeypatch.setattr(LocalEngine, "run", usual)
    assert kept() == 4
    with pytest.raises(ShapebiasError, match=said) as error, little_room():
        make_store(path, **settings)
    assert str(error.value).isprintable()
    assert not path.exists()
    assert kept() == 4
    assert arrays_of(make_store(path, **settings)) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zarr", "whole.zarr"]


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep a signal from reaching a callback of the collector, where its exception is lost and told again later."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_a_run_that_is_told_to_stop_keeps_its_shards(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Shards.keep

    def tell(self: Shards, number: int, part: Part) -> None:
        keep(self, number, part)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Shards, "keep", tell)
    for kept in (1, 2):
        with pytest.raises(RunStoppedError), stoppable(None), no_garbage_collection():
            make_store(tmp_path / "a.zarr", shard_size=16)
        assert len(list(tmp_path.glob("a.zarr.partial/shards/*/*"))) == kept
    monkeypatch.setattr(Shards, "keep", keep)
    make_store(tmp_path / "a.zarr", shard_size=16)


@pytest.mark.slow
def test_kill_at_random_moments_changes_no_byte(network_file: Path, image_folder: Path, tmp_path: Path) -> None:
    facts: dict[str, object] = {"top": 6, "device": "cpu", "workers": 0, "batch_size": 4}
    settings = Settings(
        models=parse_specs([f"Tiny={network_file}:build"]),
        images=str(image_folder),
        store=tmp_path / "whole.zarr",
        **(facts | {"passes": ("noise", "dissection"), "shard_size": 8, "layers": "block1"}),  # type: ignore[arg-type]
    )
    (tmp_path / "settings").write_bytes(pickle.dumps(settings))
    script = Path(killed_runs.__file__)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "settings", "20"],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    stores = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    assert sum(int(kills) for _, kills in stores) >= 20
    whole = arrays_of(tmp_path / "whole.zarr")
    for store, kills in stores[1:]:
        assert arrays_of(Path(store)) == whole, f"after {kills} kills"
    assert not list(tmp_path.glob("*.partial"))


def careless() -> None:
    """Takes any exception, as decoders of damaged images do."""
    with stoppable(None), suppress(Exception):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


def another_exception() -> None:
    """Makes another one of it, as Ray does."""
    with stoppable(None):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except BaseException as error:
            raise SystemError("an exception was set") from error


class StoppedFinalizer:
    """An object in whose finalizer the signal arrives, where the exception is lost."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def in_a_finalizer() -> None:
    """Lose the exception of the first signal in a finalizer, as a run may whose objects have one."""
    with stoppable(None):
        StoppedFinalizer()
        time.sleep(1)


@pytest.mark.parametrize("block", [careless, another_exception, in_a_finalizer])
def test_no_code_takes_a_stop_for_something_else(block: Callable[[], None]) -> None:
    with pytest.raises(RunStoppedError, match="told to stop: what is done is kept"):
        block()


def wait(seconds: float | None, send: signal.Signals | None = None) -> None:
    with stoppable(seconds):
        if send is not None:
            os.kill(os.getpid(), send)
        time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGALRM, signal.SIGINT])
def test_signals_stop_a_run_in_one_line(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(RunStoppedError, match="give the same command to go on"):
        wait(100, number)
    assert signal.getsignal(number) is before


def test_other_exceptions_of_finalizers_reach_the_usual_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: seen.append(str(lost.exc_value)))
    with stoppable(None):
        Broken()
    assert seen == ["in a finalizer"]


def test_the_time_limit_stops_a_run() -> None:
    with pytest.raises(RunStoppedError, match=r"the time limit of 0\.05 s"):
        wait(0.05)
    time.sleep(0.1)  # no alarm is left


def test_a_commit_is_not_stopped() -> None:
    with stoppable(0.05), uninterrupted():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
