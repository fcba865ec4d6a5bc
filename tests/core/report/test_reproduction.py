"""The command that a report gives makes the same run."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from shapebias.core.report.reproduction import SINGLE, command_of
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from tests.support.cli import invoke
from tests.support.damaged_store import attributes

MADE = (
    *("--seed", "3", "--limit", "20", "--layers", "conv4,conv5", "--top", "7", "--embedding", "demo-r"),
    *("--passes", "noise,distortions,attribution", "--noise-std", "0.1", "--noise-std", "0.2"),
    *("--distortion", "grey", "--distortion", "shuffle-4", "--attack", "l2:0.5", "--stylized", "a folder/st'yle"),
    *("--variant", "C=imagenet c/fog", "--ood", "edge=sets/edge", "--stimuli", "model", "--decode", "fast"),
    *("--attribution", "gradient,rise:masks=500", "--attribution-images", "9", "--boxes", "boxes.csv"),
    *("--categories", "categories.json", "--cue-conflict", "stimuli $HOME"),
)


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the settings that a command line of `precompute` means, without running it."""
    runs: list[Any] = []
    monkeypatch.setattr(
        "shapebias.precompute.inputs.Inputs.find", lambda settings, *_: runs.append(settings) or runs[1000]
    )

    def settings(*arguments: str) -> Any:
        result = invoke("precompute", *arguments)
        assert isinstance(result.exception, IndexError), result.output  # after the settings were made
        return runs.pop()

    return settings


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "S=demo-s", "--model", "demo-r", *MADE),
        (),
        ("--model", "A=alexnet@my weights.pth,preprocess=imagenet", "--images", "photos"),
    ],
)
def test_the_command_means_the_same_settings(
    settings_of: Any, arguments: tuple[str, ...], store_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapebias.precompute.models.spec.check_sources", lambda specs: None)
    meant = settings_of(*arguments)
    attributes(store_copy / "zarr.json", lambda facts: facts.update(settings=meant.to_attributes()))
    lines = command_of(open_store(store_copy))
    assert lines is not None
    program, subcommand, *words = shlex.split(" ".join(lines))
    assert (program, subcommand) == ("shapebias", "precompute")
    assert words[-2:] == ["--store", "copy.zarr"]
    assert settings_of(*words).to_attributes() == meant.to_attributes()


def test_options_that_are_not_said_have_the_values_of_the_command(settings_of: Any) -> None:
    usual = settings_of("--passes", "attribution").to_attributes()
    for name, (_, value) in SINGLE.items():
        assert usual[name] == value or name in ("images", "cue_conflict", "iou_area"), name


def test_a_store_of_a_python_program_has_no_command(store_copy: Path) -> None:
    attributes(store_copy / "models/Tiny/zarr.json", lambda facts: facts.update(source="a ResNet in memory"))
    assert command_of(open_store(store_copy)) is None


def test_an_early_store_names_its_networks(store_copy: Path, network_file: Path) -> None:
    attributes(store_copy / "zarr.json", lambda facts: facts["settings"].pop("models"))
    lines = command_of(open_store(store_copy))
    assert lines is not None
    assert lines[1] == f"--model Tiny={network_file}:build"


@pytest.mark.parametrize("settings", [{"attacks": [1]}, {"variants": [["C"]]}, {"models": 3}, {"passes": [1]}])
def test_settings_that_make_no_sense_are_said(store_copy: Path, settings: dict[str, Any]) -> None:
    attributes(store_copy / "zarr.json", lambda facts: facts["settings"].update(settings))
    with pytest.raises(StoreError, match="its settings are not those of a run"):
        command_of(open_store(store_copy))
