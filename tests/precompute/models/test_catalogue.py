"""The output of `models` and `layers`."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.precompute.models.architectures import STUDIED
from shapebias.precompute.models.catalogue import describe_layers, list_architectures
from shapebias.precompute.models.spec import parse_spec


def test_the_studies_networks_come_first() -> None:
    architectures, more = list_architectures()
    assert {architecture.name for architecture in architectures[2:7]} == set(STUDIED)
    assert [architecture.studied for architecture in architectures[:8]] == [False, False, *[True] * 5, False]
    assert more > 500
    weights = {architecture.name: architecture.weights for architecture in architectures}
    assert weights["small"] is None
    assert weights["alexnet"] == "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"


def test_a_filter_finds_timms_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [architecture.name for architecture in list_architectures("*efficientnet_b0*")[0]]
    assert {"efficientnet_b0", "timm:tf_efficientnet_b0.ap_in1k"} <= set(names)
    monkeypatch.setitem(sys.modules, "timm", None)
    assert [architecture.name for architecture in list_architectures("*efficientnet_b0*")[0]] == ["efficientnet_b0"]


def test_the_layers_of_alexnet() -> None:
    described = describe_layers(parse_spec("alexnet"))
    assert described.input_size == 224
    facts = [(layer.name, layer.module, layer.units, layer.map_height, layer.field) for layer in described.layers]
    assert facts == [
        ("conv1", "features.1", 64, 55, 11),
        ("conv2", "features.4", 192, 27, 51),
        ("conv3", "features.7", 384, 13, 99),
        ("conv4", "features.9", 256, 13, 131),
        ("conv5", "features.11", 256, 13, 163),
    ]
    assert all(layer.default for layer in described.layers)
    assert [layer.convolution for layer in described.layers] == [f"features.{index}" for index in (0, 3, 6, 8, 10)]


def test_the_commands(network_file: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["layers", f"{network_file}:build", "--json"])
    facts = json.loads(result.stdout)
    assert (facts["architecture"], facts["input_size"]) == ("Tiny", 32)
    default = [layer for layer in facts["layers"] if layer["default"]]
    assert [(layer["name"], layer["receptive_field"]) for layer in default] == [
        ("block1", 3),
        ("block2", 7),
        ("block3", 15),
    ]
    text = runner.invoke(app, ["layers", f"{network_file}:build"]).stdout
    assert " * block1" in text
    assert "15 px" in text
    assert json.loads(runner.invoke(app, ["models", "--json", "resnet50"]).stdout)[0]["name"] == "resnet50"
    assert "resnet50  " in runner.invoke(app, ["models", "resnet50"]).stdout
    assert runner.invoke(app, ["models", "nothing-like-it"]).exit_code == 2
    assert runner.invoke(app, ["layers", "nothing-like-it"]).exit_code == 2


def test_a_network_whose_forward_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\ndef build(): return nn.Sequential(nn.Conv2d(5, 4, 3))\n")
    result = CliRunner().invoke(app, ["layers", f"{tmp_path / 'net.py'}:build"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "net.py:build) fails on 224 x 224 images: RuntimeError: Given groups=1" in result.stderr
