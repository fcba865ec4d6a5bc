"""`shapebias train --seeds`: networks that differ in their seed only, and what is done is not done again."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shapebias.cli import app
from shapebias.core.errors import UsageError
from shapebias.precompute.models.trained import read_trained
from shapebias.precompute.training.family import parse_seeds


def invoke(data: Path, output: Path, *more: str) -> Result:
    options = ["--architecture", "photo", "--epochs", "1", "--device", "cpu", "--workers", "0", *more]
    return CliRunner().invoke(app, ["train", "--data", str(data), "--output", str(output), *options])


def test_each_seed_is_a_network_and_a_finished_one_is_kept(image_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    assert invoke(image_folder, tmp_path / "net-3.safetensors", "--seed", "3").exit_code == 0
    before = (tmp_path / "net-3.safetensors").read_bytes()
    result = invoke(image_folder, output, "--seeds", "0,3", "--json")
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.stdout)["networks"]
    assert (first["resumed"], second["resumed"]) == (0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-0.safetensors", "net-3.safetensors"]
    assert (tmp_path / "net-3.safetensors").read_bytes() == before
    trained = [read_trained(tmp_path / f"net-{seed}.safetensors") for seed in (0, 3)]
    recipes = [network.recipe for network in trained if network is not None]
    assert {key for key in recipes[0] if recipes[0][key] != recipes[1][key]} == {"seed", "history"}
    assert second["parameters"] == first["parameters"]
    other = invoke(image_folder, output, "--seeds", "1,3", "--flip")
    assert other.exit_code == 2
    assert "net-3.safetensors exists and was trained with other settings" in other.stderr
    assert not (tmp_path / "net-1.safetensors").exists()  # said before any training


@pytest.mark.parametrize("text", ["", "1,", "a", "1;2", "-1", "1,1"])
def test_texts_that_are_no_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


def test_seed_and_seeds_exclude_each_other(image_folder: Path, tmp_path: Path) -> None:
    result = invoke(image_folder, tmp_path / "a.safetensors", "--seeds", "0,1", "--seed", "2")
    assert result.exit_code == 2
    assert "give only one of them" in result.stderr
