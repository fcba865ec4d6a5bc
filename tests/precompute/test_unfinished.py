"""The files that a run keeps beside its store: only the same command resumes from them."""

import fcntl
import json
import os
import socket
from pathlib import Path

import pytest

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.unfinished import UnfinishedRun


def run_in(tmp_path: Path) -> UnfinishedRun:
    unfinished = UnfinishedRun(tmp_path / "a.zarr")
    unfinished.open()
    return unfinished


def kept(tmp_path: Path, identity: dict[str, object]) -> None:
    """A run that stopped after a shard."""
    first = run_in(tmp_path)
    assert not first.begin(identity, False)
    first.shards.mkdir()
    (first.shards / "0").write_text("part")
    first.close()


def test_the_same_run_goes_on(tmp_path: Path) -> None:
    kept(tmp_path, {"top": 25, "noise": (0.1,)})
    again = run_in(tmp_path)
    assert again.begin({"noise": [0.1], "top": 25}, False)
    assert (again.shards / "0").read_text() == "part"


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({"top": 5}, "top was 25 and is 5"),
        ({"networks": {"A": {"weights": "b" * 64}}}, "the weights of A changed"),
        ({"noise": [1]}, "noise was null and is"),
    ],
)
def test_another_run_is_refused_naming_the_differences(tmp_path: Path, identity: dict[str, object], said: str) -> None:
    usual = {"top": 25, "networks": {"A": {"weights": "a" * 64}}}
    kept(tmp_path, usual)
    again = run_in(tmp_path)
    with pytest.raises(UsageError, match=said) as error:
        again.begin(usual | identity, False)
    assert "--restart" in str(error.value)
    assert (again.shards / "0").exists()
    assert not again.begin(usual | identity, True)
    assert not again.shards.exists()


def test_nothing_kept_is_nothing_left(tmp_path: Path) -> None:
    first = run_in(tmp_path)
    first.begin({"top": 1}, False)
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_drawings_are_made_anew_by_every_run(tmp_path: Path) -> None:
    kept(tmp_path, {"top": 25})
    drawings = tmp_path / "a.zarr.partial" / "drawn"
    assert not drawings.exists()
    drawings.mkdir()  # of a run that was killed
    (drawings / "0-0-0").write_text("damaged")
    again = run_in(tmp_path)
    assert again.drawn == drawings
    assert list(drawings.iterdir()) == []
    again.close()
    assert not drawings.exists()


def test_who_holds_it_is_said(tmp_path: Path) -> None:
    first = run_in(tmp_path)
    with pytest.raises(ShapebiasError, match=f"process {os.getpid()} on {socket.gethostname()}, since 20"):
        run_in(tmp_path)
    (first.folder / "holder.json").write_text(json.dumps({"process": "\x1b"}))
    with pytest.raises(ShapebiasError, match="another run is writing"):
        run_in(tmp_path)
    first.close()
    run_in(tmp_path)


def test_a_folder_that_goes_while_it_is_taken_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run before ends between the two steps of taking it."""
    first, second = run_in(tmp_path), UnfinishedRun(tmp_path / "a.zarr")
    lock = fcntl.flock

    def ends(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        first.close()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", ends)
    second.open()
    with pytest.raises(ShapebiasError, match="another run"):
        run_in(tmp_path)


def test_a_folder_of_somebody_else_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.zarr.partial").mkdir()
    (tmp_path / "a.zarr.partial/thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"holds thesis\.tex"):
        run_in(tmp_path)
    assert [path.name for path in (tmp_path / "a.zarr.partial").iterdir()] == ["thesis.tex"]


def test_damaged_facts_of_a_run_are_forgotten(tmp_path: Path) -> None:
    kept(tmp_path, {"top": 25})
    (tmp_path / "a.zarr.partial/run.json").write_text("[")
    again = run_in(tmp_path)
    assert not again.begin({"top": 25}, False)
    assert not again.shards.exists()
