"""The GPU check finds what is planted and says what is absent; it passes on the CPU, section B on a pretended GPU."""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu.setup import SMALL, Record, ReportSection, Setup
from shapebias.precompute.settings import DECODINGS
from tests.support.pretended_cuda import pretended_cuda

TINY = replace(
    SMALL,
    photos=((6, 100, 80),),
    pair_layers="conv5",
    pair_images=4,
    trained_on=16,
    network="squeezenet1_1",
    network_layers="features.12",
    network_images=3,
    batches=1,
    networks=("squeezenet1_1",),
    workers=(1,),
)


def setup(folder: Path, kind: str = "cpu") -> Setup:
    return Setup(kind=kind, folder=folder, sizes=replace(TINY, patience=1), has_allocator=False)


def results(folder: Path) -> list[dict]:
    return json.loads((folder / gpu_check.RESULTS).read_text())["sections"]


def fine(_: Setup, record: Record) -> None:
    record.measured["numbers"] = {"a": 1.5}


def slow(_: Setup, record: Record) -> None:
    record.measured["begun"] = True
    time.sleep(5)


def interrupted(_: Setup, __: Record) -> None:
    signal.raise_signal(signal.SIGINT)


def failing(_: Setup, __: Record) -> None:
    raise ValueError("no such thing")


def test_budgets_leave_a_machine_in_six_minutes() -> None:
    """Ten seconds of the six minutes are for starting it."""
    assert sum(section.seconds for section in gpu_check.SECTIONS) <= 350
    assert [section.letter for section in gpu_check.SECTIONS] == list("ABCDEFG")


@pytest.mark.parametrize(
    ("action", "violation"), [(slow, "over its budget of 0.2 s"), (failing, "ValueError: no such thing")]
)
def test_a_section_that_fails_is_a_violation_and_the_others_run(
    action: Callable[[Setup, Record], None], violation: str, tmp_path: Path
) -> None:
    sections = [ReportSection("X", "bad", 0.2, action), ReportSection("Y", "good", 5, fine)]
    records = gpu_check.check(sections, setup(tmp_path), tmp_path)
    assert [record.violations for record in records] == [[violation], []]
    assert records[0].seconds < 4
    assert [section["violations"] for section in results(tmp_path)] == [[violation], []]
    assert "numbers: a: 1.5" in gpu_check.table(records)
    assert f"! {violation}" in gpu_check.table(records)


def test_results_are_written_after_each_section(tmp_path: Path) -> None:
    def second(_: Setup, record: Record) -> None:
        record.measured["written"] = [section["section"] for section in results(tmp_path)]

    gpu_check.check(
        [ReportSection("X", "first", 5, fine), ReportSection("Y", "second", 5, second)], setup(tmp_path), tmp_path
    )
    assert results(tmp_path)[1]["measured"]["written"] == ["X"]


@pytest.mark.parametrize(("action", "status"), [(fine, 0), (failing, 1)])
def test_the_exit_status(
    action: Callable[[Setup, Record], None], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "SECTIONS", (ReportSection("X", "only", 5, action),))
    assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path)]) == status


def test_ctrl_c_ends_the_check_and_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = (
        ReportSection("X", "first", 5, fine),
        ReportSection("Y", "second", 5, interrupted),
        ReportSection("Z", "third", 5, fine),
    )
    monkeypatch.setattr(gpu_check, "SECTIONS", sections)
    assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path)]) == 1
    assert "stopped: " in capsys.readouterr().err
    assert [section["section"] for section in results(tmp_path)] == ["X"]


@pytest.mark.parametrize("strict", [False, True])
def test_a_missed_speed_is_a_violation_only_where_that_is_asked_for(strict: bool) -> None:
    record = Record("E", "speed", 1, strict)
    record.check_speed("pass / bare", 0.8, 0.85)
    record.check_speed("with noise / bare", 0.9, 0.85)
    assert record.measured["pass / bare"] == {"share": 0.8, "target": 0.85}
    assert record.violations == (["pass / bare: 0.80, not 0.85"] if strict else [])


@pytest.mark.slow
def test_the_whole_check_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "SMALL", TINY)
    assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path)]) == 0
    sections = {section["section"]: section for section in results(tmp_path)}
    assert list(sections) == list("ABCDEFG")
    assert sections["A"]["measured"]["images"] == 6
    assert sections["C"]["measured"]["resumed"] == "the same bits"
    assert sections["D"]["measured"]["halved"]
    assert ("gpu" in DECODINGS) != ("decoding on the GPU" in sections["F"]["absent"])
    assert sections["G"]["measured"]["pass over bare, MB"] < 1000


@pytest.mark.slow
def test_statistics_are_right_on_a_pretended_gpu(tmp_path: Path) -> None:
    """Whole runs on it are in `tests/precompute/test_cuda.py`."""
    sections = [replace(section, seconds=600) for section in gpu_check.SECTIONS if section.letter == "B"]
    with pretended_cuda() as gpu:
        [record] = gpu_check.check(sections, setup(tmp_path, "cuda"), tmp_path)
    assert record.violations == []
    assert gpu.counts["kernel"] > 500
