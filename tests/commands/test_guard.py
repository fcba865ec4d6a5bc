"""Whatever a command line, the environment or the streams are: the program ends with one line at most, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapebias.cli import COMMANDS, main

NAMES = [command.run.__name__.replace("_", "-") for command in COMMANDS]
WORDS = ["-o", "--limit", "--json", "--sort", "--filter", "--format", "--model", "--layer", "--images", "--seed", "--"]
VALUES = [
    "-1",
    "0",
    "1e9",
    "nan",
    "max",
    "x=y@z",
    "~nobody/x",
    "/dev/null",
    "/dev/full",
    "\x1b[31m",
    "a\nb",
    "",
    "é",
    "--",
]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([name for name in NAMES if name not in ("doctor", "precompute", "train", "export-images")]),
    words=st.lists(st.sampled_from([*WORDS, *VALUES]) | st.text(max_size=6), max_size=5),
)
def test_any_command_line_ends_in_one_line(
    outside: Path, name: str, words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outside)
    with pytest.raises(SystemExit) as end:
        main([name, *words])
    said = capfd.readouterr().err
    assert end.value.code in (0, 1, 2)
    assert said.count("\n") == (end.value.code != 0), said
    assert said == "" or said.startswith("shapebias: ")
    assert "an unexpected error" not in said, said


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command=st.sampled_from([("precompute", "--images", "nothing"), ("train", "--data", "nothing", "--output", "a")]),
    words=st.lists(
        st.sampled_from([*WORDS, *VALUES, "--store", "--passes", "--attack", "--device", "--precision", "--labels"])
        | st.text(max_size=6),
        max_size=5,
    ),
)
def test_any_run_over_images_that_are_not_there_ends_in_one_line(
    outside: Path,
    command: tuple[str, ...],
    words: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(outside)
    name, *options = command
    with pytest.raises(SystemExit) as end:
        main([name, *words, *options])
    said = capfd.readouterr().err
    assert end.value.code in (0, 1, 2)
    assert said.count("\n") == (end.value.code != 0), said
    assert "an unexpected error" not in said, said
    assert sorted(outside.glob("*.zarr*")) == []


CLOSED = {
    "stdin": "<&-",
    "stdout": ">&-",
    "stderr": "2>&-",
    "all": "<&- >&- 2>&-",
    "full": ">/dev/full",
    "pipe": "| true",
}


@pytest.mark.parametrize("streams", list(CLOSED))
@pytest.mark.parametrize(
    "arguments", ["--help", "info STORE", "units STORE --format csv", "info nothing", "explore STORE"]
)
def test_streams_that_are_closed_or_full(small_store: Path, tmp_path: Path, streams: str, arguments: str) -> None:
    line = f"{sys.executable} -m shapebias {arguments.replace('STORE', str(small_store))} {CLOSED[streams]}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ
    )
    assert done.returncode in (0, 1, 2)
    assert done.stderr.count("\n") <= 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["TERM", "HOME", "TMPDIR", "PATH", "LANG", "all"])
def test_an_environment_that_lacks_something(small_store: Path, missing: str) -> None:
    kept = ("PYTHONPATH",) if missing == "all" else tuple(set(os.environ) - {missing})
    environment = {name: value for name, value in os.environ.items() if name in kept}
    command = [sys.executable, "-m", "shapebias", "units", str(small_store), "--limit", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
