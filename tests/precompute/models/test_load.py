"""Networks from user code, torchvision and checkpoints; whatever is wrong with them is one line."""

import os
import pickle
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.spec import parse_spec


def load(text: str) -> LoadedModel:
    return load_model(parse_spec(text))


def fails(text: str, kind: type[ShapebiasError] = ShapebiasError) -> str:
    with pytest.raises(kind) as error:
        load(text)
    message = str(error.value)
    assert "\n" not in message
    assert "\x1b" not in message
    return message


def code(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(text)
    return path


HEAD = "import torch\nfrom torch import nn\n"
SMALL = f"{HEAD}def build():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))\n"


# --- user code -------------------------------------------------------------------------------------------------------


def test_a_function_in_a_file(network_file: Path) -> None:
    model = load(f"Mine={network_file}:build")
    assert model.label == "Mine"
    assert model.architecture == "Tiny"
    assert not any(module.training for module in model.network.modules())
    assert model.parameters == sum(weights.numel() for weights in model.network.parameters())
    assert (model.preprocessing.geometry.resize, model.preprocessing.geometry.crop) == (40, 32)
    assert model.preprocessing.mean == (0.4, 0.5, 0.6)


def test_a_function_in_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shapebias_test_nets.py").write_text(SMALL)
    monkeypatch.syspath_prepend(tmp_path)
    model = load("shapebias_test_nets:build")
    assert model.label == "shapebias_test_nets"
    assert model.preprocessing.geometry.crop == 224
    sys.modules.pop("shapebias_test_nets")


def test_two_files_of_one_name_are_two(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / f"{number}/nets.py").write_text(f"{HEAD}def build():\n    return nn.Conv2d(3, {number}, 1)\n")
    widths = [load(f"{tmp_path}/{number}/nets.py:build").network.out_channels for number in (1, 2)]
    assert widths == [1, 2]


def test_a_dataclass_in_a_file_works(tmp_path: Path) -> None:
    """It looks its module up in sys.modules."""
    text = "from dataclasses import dataclass\n@dataclass\nclass A:\n    width: 'int' = 4\n"
    text += "def build():\n    return nn.Conv2d(3, A().width, 1)\n"
    assert load(f"{code(tmp_path, HEAD + text)}:build").parameters == 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("def build", "def other"), "no function build"),
        (f"{SMALL}build = 3\n", "no function build"),
        ("def build():\n    raise ValueError('first\\nsecond \\x1b[31m')\n", "ValueError"),
        ("def build():\n    import sys\n    sys.exit('bye')\n", "bye"),
        ("def build():\n    return 'text'\n", "str"),
        ("def build():\n    return None\n", "NoneType"),
        (f"{HEAD}def build():\n    return nn.Conv2d\n", "not a torch.nn.Module"),
        ("def build(needed):\n    return needed\n", "TypeError"),
        ("def build(:\n", "SyntaxError"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("raise RuntimeError\n", "RuntimeError"),
        ("\x00", "SyntaxError"),
    ],
)
def test_code_that_fails_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in fails(f"{code(tmp_path, text)}:build")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in fails(f"{tmp_path}/none.py:build", UsageError)


def test_a_module_that_is_not_there() -> None:
    assert "ModuleNotFoundError" in fails("shapebias_no_such_module:build")
    fails(":build")
    fails("..x:build")


def test_a_pretrained_cfg_that_makes_no_sense(tmp_path: Path) -> None:
    text = f"{HEAD}def build():\n    net = nn.Conv2d(3, 1, 1)\n    net.pretrained_cfg = {{'std': 0}}\n    return net\n"
    assert "pretrained_cfg" in fails(f"{code(tmp_path, text)}:build")


# --- checkpoints -----------------------------------------------------------------------------------------------------


def weights(seed: int = 5) -> dict[str, Any]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    nn.init.normal_(network[1].weight)
    return dict(network.state_dict())


WRAPPERS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "module.": lambda state: {f"module.{name}": value for name, value in state.items()},
    "both": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "compiled": lambda state: {"model": {f"_orig_mod.{name}": value for name, value in state.items()}},
    "nested": lambda state: {"state_dict": {f"module.model.{name}": value for name, value in state.items()}},
}


@pytest.mark.parametrize("wrapper", list(WRAPPERS))
def test_a_checkpoint_in_any_wrapper(tmp_path: Path, wrapper: str) -> None:
    torch.save(WRAPPERS[wrapper](weights()), tmp_path / "w.pth")
    model = load(f"A={code(tmp_path, SMALL)}:build@{tmp_path}/w.pth")
    for name, value in weights().items():
        torch.testing.assert_close(model.network.state_dict()[name], value)
    assert model.source.endswith("w.pth")


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "module."])
def test_torchvisions_networks_take_a_checkpoint_too(tmp_path: Path, wrapper: str) -> None:
    torch.manual_seed(1)
    network = torchvision.models.squeezenet1_1(weights=None)
    torch.save(WRAPPERS[wrapper](dict(network.state_dict())), tmp_path / "w.pth")
    model = load(f"squeezenet1_1@{tmp_path}/w.pth")
    assert model.architecture == "squeezenet1_1"
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.network(images), network.eval()(images))
    assert (model.preprocessing.geometry.resize, model.preprocessing.geometry.crop) == (256, 224)


def test_a_checkpoint_of_another_network_is_one_line(tmp_path: Path) -> None:
    state = weights()
    state["0.weight"] = torch.zeros(9, 3, 3, 3)
    state["extra\x1b\n"] = state.pop("1.bias")
    torch.save(state, tmp_path / "w.pth")
    message = fails(f"A={code(tmp_path, SMALL)}:build@{tmp_path}/w.pth")
    assert "1 missing (1.bias)" in message
    assert "1 unexpected" in message
    assert "1 of another shape (0.weight: 9x3x3x3 in the file, 4x3x3x3 in the network)" in message


@pytest.mark.parametrize("content", [{}, [1, 2], 3, {"a": "text"}, torch.zeros(3), {"state_dict": {}}])
def test_a_file_without_weights_is_one_line(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert "state dict" in fails(f"A={code(tmp_path, SMALL)}:build@{tmp_path}/w.pth")


def test_a_checkpoint_that_is_not_there_or_no_checkpoint(tmp_path: Path) -> None:
    path = code(tmp_path, SMALL)
    assert "does not exist" in fails(f"A={path}:build@{tmp_path}/w.pth", UsageError)
    assert "is a folder" in fails(f"A={path}:build@{tmp_path}", UsageError)
    for content in (b"", b"text", os.urandom(1000), b"PK\x03\x04 broken"):
        (tmp_path / "w.pth").write_bytes(content)
        fails(f"A={path}:build@{tmp_path}/w.pth")
    torch.save(weights(), tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:-200])
    fails(f"A={path}:build@{tmp_path}/w.pth")


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "torch", "in a state dict"])
def test_a_checkpoint_is_never_executed(tmp_path: Path, form: str) -> None:
    bomb = Bomb(tmp_path / "created")
    if form == "pickle":
        (tmp_path / "w.pth").write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb if form == "torch" else weights() | {"bomb": bomb}, tmp_path / "w.pth")
    spec = f"A={code(tmp_path, SMALL)}:build@{tmp_path}/w.pth"
    if form == "in a state dict":
        torch.testing.assert_close(dict(load(spec).network.state_dict()), weights())
    else:
        assert ("pickle" if form == "pickle" else "pickled object") in fails(spec)
    assert not (tmp_path / "created").exists()


# --- torchvision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alexnett", "fcn_resnet50", "nothing", "\x1b[31m"])
def test_a_name_that_torchvision_does_not_have(name: str) -> None:
    assert "torchvision" in fails(f"A={name}", UsageError)


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route\nto host"), OSError(28, "No space left"), RuntimeError("bad hash")]
)
def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    message = fails("alexnet")
    assert "--model alexnet@FILE" in message
    assert "https://download.pytorch.org/models/alexnet" in message


def test_googlenet_takes_a_checkpoint_without_its_training_heads(tmp_path: Path) -> None:
    network = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False)
    torch.save(network.state_dict(), tmp_path / "g.pth")
    model = load(f"googlenet@{tmp_path}/g.pth")
    with torch.inference_mode():
        assert model.network(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


# --- the digest of weights -------------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_weights(tmp_path: Path) -> None:
    path = code(tmp_path, SMALL)
    torch.save(weights(1), tmp_path / "a.pth")
    torch.save({"state_dict": weights(1)}, tmp_path / "b.pth")
    torch.save(weights(2), tmp_path / "c.pth")
    a, b, c = (load(f"A={path}:build@{tmp_path}/{name}.pth") for name in "abc")
    assert a.weights_sha256() == b.weights_sha256() != c.weights_sha256()
    before = a.weights_sha256()
    a.network.to(memory_format=torch.channels_last)
    assert a.weights_sha256() == before
    assert len(before) == 64
