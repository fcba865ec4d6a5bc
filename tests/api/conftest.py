"""A store of two built-in networks, made by the command line, as the examples of the docstrings have it."""

from pathlib import Path
from typing import Any

import pytest

import shapebias
from tests.support.cli import invoke

LAYERS = "conv4,conv5"


@pytest.fixture(scope="session")
def stimuli(ablation_settings: dict[str, Any]) -> str:
    """A folder of 32 cue-conflict images."""
    return str(ablation_settings["cue_conflict"])


@pytest.fixture(scope="session")
def pair_folder(stimuli: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pair.zarr: S and R, two layers, 48 images. Do not change it."""
    folder = tmp_path_factory.mktemp("pair")
    options = ("--limit", 48, "--layers", LAYERS, "--workers", 0, "--device", "cpu", "--passes", "noise,dissection")
    models = ("--model", "S=demo-s", "--model", "R=demo-r", "--cue-conflict", stimuli)
    made = invoke("precompute", *models, "--images", "builtin:probe", "--store", folder / "pair.zarr", *options)
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="session")
def pair(pair_folder: Path) -> shapebias.Store:
    """The store, open."""
    return shapebias.open(pair_folder / "pair.zarr")
