"""`shapebias verify`, from its command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.store.opening import open_store
from shapebias.precompute import verify_units
from shapebias.precompute.device import HIGHEST
from shapebias.precompute.memory import OutOfMemoryError
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.runner import Runner
from shapebias.precompute.settings import Settings
from tests.support.cli import fails
from tests.support.layer_values import set_values

Run = Callable[..., tuple[int, str]]
DAMAGE = """

def damaged():
    network = build()
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    last.weight.data[5] = float("nan")
    return network
"""


@pytest.fixture
def verify() -> Run:
    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
        return result.exit_code, result.output

    return run


def test_a_whole_store_is_all_right(verify: Run, small_store: Path) -> None:
    code, output = verify(small_store)
    assert code == 0
    assert output.strip().endswith(": all right")
    code, output = verify(small_store, "--json")
    report = json.loads(output)
    assert (code, report["right"], report["wrong"]) == (0, True, [])


def test_units_computed_again_are_those_of_the_store(verify: Run, small_store: Path) -> None:
    code, output = verify(small_store, "--sample", 5, "--workers", 0)
    assert (code, "5 units computed again: all right" in output) == (0, True), output


def test_a_unit_whose_maps_are_all_nan_is_no_difference(
    verify: Run, image_folder: Path, network_file: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.py"
    damaged.write_text(network_file.read_text() + DAMAGE)
    settings = Settings(
        models=parse_specs([f"Tiny={damaged}:damaged"]), images=str(image_folder), store=tmp_path / "a.zarr", workers=0
    )
    precompute(settings, Silent())
    code, output = verify(tmp_path / "a.zarr", "--sample", 100, "--workers", 0)
    assert (code, "all right" in output) == (0, True), output


def test_values_of_another_network_are_found(verify: Run, store_copy: Path) -> None:
    store = open_store(store_copy)
    for name in ("mean", "std", "tv"):
        changed = 1.1 * store.metric("Tiny", "block2", name) + 0.01
        set_values(store_copy, ("Tiny", "block2"), f"metrics/{name}", ..., changed)
    code, output = verify(store_copy, "--sample", 70, "--workers", 0)
    assert code == 1
    for name in ("mean", "std", "tv"):
        assert f"Tiny/block2/0: {name} is " in output
    assert "Tiny/block1/" not in output


def test_images_that_are_gone_are_one_line(verify: Run, small_store: Path, image_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(image_folder, tmp_path / "images"))
    shutil.rmtree(folder / "class3")
    code, output = verify(small_store, "--sample", 1, "--images", folder)
    assert code == 1
    assert "5 images of the store are not in" in output
    assert "--images" in output


def test_other_weights_are_one_line(verify: Run, small_store: Path, network_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "net.py"
    other.write_text(network_file.read_text().replace("manual_seed(0)", "manual_seed(1)"))
    code, output = verify(small_store, "--sample", 1, "--model", f"Tiny={other}:build")
    assert (code, "holds other weights than Tiny" in output) == (1, True), output


def test_no_store_is_one_line(verify: Run, tmp_path: Path) -> None:
    code, output = verify(tmp_path / "a.zarr")
    assert code == 1
    assert "does not exist" in output


def test_paths_that_were_relative_are_found_from_where_the_run_was_started(
    verify: Run, image_folder: Path, network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "photos").symlink_to(image_folder)
    (tmp_path / "net.py").write_text(network_file.read_text())
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        models=parse_specs(["Tiny=net.py:build"]), images="photos", store=Path("runs/a.zarr"), limit=6, workers=0
    )
    precompute(settings, Silent())
    monkeypatch.chdir("/")
    code, output = verify(tmp_path / "runs/a.zarr", "--sample", 2, "--workers", 0)
    assert (code, "2 units computed again: all right" in output) == (0, True), output


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_what_a_precision_rounds_is_no_error(
    verify: Run, make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Nor would it be none if the store were taken for one in float32."""
    path = make_store(tmp_path / "a.zarr", precision=precision)
    code, output = verify(path, "--sample", 70, "--workers", 0)
    assert (code, "70 units computed again: all right" in output) == (0, True), output
    monkeypatch.setattr(verify_units, "_precision", lambda store: HIGHEST)
    code, output = verify(path, "--sample", 70, "--workers", 0)
    assert code == 1
    assert "mean is" in output


def test_units_are_computed_in_smaller_parts_where_memory_is_short(
    verify: Run, small_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, refused = Runner.forward, []

    def short(self: Runner, pixels: Any, see: Any = None) -> Any:
        if len(pixels) > 5:
            refused.append(len(pixels))
            raise OutOfMemoryError("full")
        return forward(self, pixels, see)

    monkeypatch.setattr(Runner, "forward", short)
    code, output = verify(small_store, "--sample", 70, "--workers", 0)
    assert refused
    assert (code, "70 units computed again: all right" in output) == (0, True), output


@pytest.mark.parametrize("option", [("--images", "photos"), ("--model", "Tiny=alexnet")])
def test_options_of_the_sample_need_one(small_store: Path, option: tuple[str, str]) -> None:
    assert "are for --sample N" in fails(2, "verify", small_store, *option)
