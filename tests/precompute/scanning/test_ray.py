"""Measuring on a Ray cluster: the same bytes as in this process, whatever happens to its workers."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from shapebias.core.attribution.choice import parse_choices
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.ablation.units import UnitAblation
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.parts import Part
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import _devices, precompute
from shapebias.precompute.scanning.ray import _Worker, worker_device
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.settings import Settings
from tests.support.pretended_cuda import pretended_cuda
from tests.support.store_arrays import arrays_of


def workers() -> list[int]:
    """The processes of Ray's workers on this machine that measure."""
    titles = {int(path.parent.name): path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    return [process for process, title in titles.items() if title.startswith(b"ray::_Worker")]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_worker_changes_no_byte(
    make_store: Callable[..., Path],
    ablation_settings: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers are killed while they measure shards, and while they ablate layers."""
    run = ablation_settings | {"shard_size": 4, "batch_size": 4, "passes": ("sensitivity", "ablation", "attribution")}
    run |= {"attribution": parse_choices("gradient,random"), "attribution_images": 10, "attribution_steps": 3}
    whole = arrays_of(make_store(tmp_path / "local.zarr", **run))
    killed: list[int] = []
    keep = Shards.keep

    def kill_one(self: Shards, number: int, part: Part) -> None:
        keep(self, number, part)
        if not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Shards, "keep", kill_one)
    monkeypatch.setattr(UnitAblation, "__init__", in_another_process)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    facts = run | {"store": tmp_path / "ray.zarr", "engine": "ray", "cpus_per_worker": 0.5, "ray_workers": 2}
    summary = precompute(Settings(top=6, device="cpu", workers=0, **facts), Silent())  # type: ignore[arg-type]
    assert killed
    assert "measured by 2 Ray workers" in summary.notes
    assert arrays_of(tmp_path / "ray.zarr") == whole
    assert workers() == []


def in_another_process(*_: object) -> None:
    raise AssertionError("networks are run by Ray's workers, not here")


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere:\x1b1")
    with pytest.raises(ShapebiasError, match=r"no Ray cluster at nowhere:\\x1b1: "):
        make_store(tmp_path / "a.zarr", engine="ray")
    assert not list(tmp_path.glob("a.zarr*"))


def test_an_engine_that_does_not_exist_is_a_usage_error(make_store: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no --engine spark: there are local, ray"):
        make_store(tmp_path / "a.zarr", engine="spark")


# --- devices ---------------------------------------------------------------------------------------------------------


def ray_settings(**changes: object) -> Settings:
    facts: dict[str, object] = {
        "models": parse_specs(["demo-s"]),
        "images": "builtin:probe",
        "store": Path("none.zarr"),
    }
    return Settings(**facts | {"engine": "ray"} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "kind", "precision"),
    [
        ({}, "cpu", "highest"),
        ({"device": "cpu", "precision": "bf16"}, "cpu", "bf16"),
        ({"gpus_per_worker": 0.5}, "cuda", "tf32"),
        ({"device": "cuda", "gpus_per_worker": 1, "precision": "highest"}, "cuda", "highest"),
    ],
)
@pytest.mark.parametrize("gpu_here", [False, True])
def test_workers_get_the_device_that_they_have_room_for(
    asked: dict[str, object], kind: str, precision: str, gpu_here: bool
) -> None:
    """Whatever this process sees: Ray hides no GPU from a worker that is given none."""
    with pretended_cuda() if gpu_here else nullcontext():
        measuring, here = _devices(ray_settings(**asked))
        assert (measuring.device.type, measuring.precision.name) == (kind, precision)
        assert here.device.type == "cpu"
        if kind == "cpu":
            worker = _Worker(ray_settings(**asked, layers="conv1"), find_images("builtin:probe", 2)[0], measuring, ".")
            assert {parameter.device.type for parameter in worker._runners[0].network.parameters()} == {"cpu"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"device": "cpu", "gpus_per_worker": 1}, "--device cpu leaves the GPUs of --gpus-per-worker idle"),
        ({"device": "cuda:1", "gpus_per_worker": 1}, "Ray gives each worker its own GPU, so write --device cuda"),
        ({"device": "cuda"}, "needs GPUs for the workers: --gpus-per-worker 1"),
        ({"device": "cuda:1"}, "needs GPUs for the workers: --gpus-per-worker 1"),
        ({"gpus_per_worker": 1, "precision": "int8"}, "no --precision int8"),
    ],
)
def test_devices_and_gpus_that_do_not_go_together(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        worker_device(ray_settings(**asked))
