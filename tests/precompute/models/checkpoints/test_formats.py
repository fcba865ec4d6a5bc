"""Checkpoints as their trainers write them: the network that is loaded computes what the original computes."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.models.checkpoints.contents import tensor_groups
from shapebias.precompute.models.checkpoints.formats import weights_for
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.preprocessing import IMAGENET_MEAN
from shapebias.precompute.models.spec import parse_spec

State = dict[str, Any]
MEAN, STD = (0.41, 0.42, 0.43), (0.21, 0.22, 0.23)


def load(text: str) -> LoadedModel:
    return load_model(parse_spec(text))


def seeded(network: nn.Module) -> nn.Module:
    """Return the network with norms that are not the identity."""
    torch.manual_seed(2)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * 0.05)
    return network.eval()


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return seeded(torchvision.models.resnet18(weights=None))


@pytest.fixture(scope="module")
def images() -> Tensor:
    torch.manual_seed(4)
    return torch.randn(2, 3, 64, 64)


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


def robustness(state: State) -> State:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    parts = prefixed("model.", state) | prefixed("attacker.model.", state)
    parts |= {"normalizer.new_mean": mean, "normalizer.new_std": std}
    return parts | {"attacker.normalize.new_mean": mean + 1, "attacker.normalize.new_std": std + 1}


class PickledSchedule:
    """An object that weights_only refuses."""

    def __init__(self) -> None:
        self.rates = [0.1, 0.01]


FORMATS: dict[str, Callable[[State], Any]] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3, "arch": "resnet18"},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "wrappers in wrappers": lambda state: {"model": {"state_dict": state}},
    "DataParallel": lambda state: {"state_dict": prefixed("module.", state)},
    "compiled": lambda state: {"model": prefixed("_orig_mod.", state)},
    "all prefixes": lambda state: prefixed("_orig_mod.module.model.", state),
    "robustness": lambda state: {
        "model": prefixed("module.", robustness(state)),
        "schedule": PickledSchedule(),
        "epoch": 1,
    },
    "robustness of one GPU": lambda state: {"model": robustness(state)},
    "robustness around a wrapper": lambda state: {"model": prefixed("module.", robustness(prefixed("model.", state)))},
    "SIN": lambda state: {"epoch": 60, "state_dict": prefixed("module.", state), "best_prec1": torch.tensor(60.0)},
    "AdvProp": lambda state: {
        "state_dict": prefixed(
            "module.", state | {"bn1.aux_bn.weight": torch.ones(64), "bn1.aux_bn.bias": torch.ones(64)}
        )
    },
    "before PyTorch 0.4.1": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    "half the model in parallel": lambda state: {k.replace("layer1.", "layer1.module."): v for k, v in state.items()},
    "parameters": lambda state: {name: nn.Parameter(value, requires_grad=False) for name, value in state.items()},
}


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_format_gives_the_originals_logits(tmp_path: Path, original: nn.Module, images: Tensor, form: str) -> None:
    zipped = form not in ("SIN", "bare", "robustness of one GPU")  # those of before PyTorch 1.6
    content = FORMATS[form](dict(original.state_dict()))
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    model = load(f"A=resnet18@{tmp_path}/w.pt")
    with torch.inference_mode():
        assert torch.equal(model.network(images), original(images))
    is_robust = form.startswith("robustness")
    assert model.preprocessing.mean == pytest.approx(MEAN if is_robust else IMAGENET_MEAN, abs=1e-7)
    assert ("the checkpoint's normaliser" in str(model.preprocessing)) == is_robust
    assert (len(model.notes) == 1) == (form == "AdvProp")


def test_safetensors_under_any_name(tmp_path: Path, original: nn.Module, images: Tensor) -> None:
    save_file(prefixed("module.", dict(original.state_dict())), tmp_path / "w.bin")
    with torch.inference_mode():
        assert torch.equal(load(f"resnet18@{tmp_path}/w.bin").network(images), original(images))


def test_half_precision_is_made_whole(tmp_path: Path, original: nn.Module, images: Tensor) -> None:
    torch.save({name: value.half() for name, value in original.state_dict().items()}, tmp_path / "w.pt")
    with torch.inference_mode():
        logits, expected = load(f"resnet18@{tmp_path}/w.pt").network(images), original(images)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0.02, atol=0.02)


def test_what_the_user_says_of_preprocessing_counts(tmp_path: Path, original: nn.Module) -> None:
    torch.save({"model": robustness(dict(original.state_dict()))}, tmp_path / "w.pt")
    for name, mean, std in (("advprop", 0.5, 0.5), ("none", 0.0, 1.0), ("imagenet", 0.485, 0.229)):
        preprocessing = load(f"resnet18@{tmp_path}/w.pt,preprocess={name}").preprocessing
        assert (preprocessing.mean[0], preprocessing.std[0], preprocessing.origin) == (mean, std, f"preprocess={name}")
        assert preprocessing.geometry.crop == 224


def test_a_network_that_has_a_normaliser_of_its_own_gets_it_filled(tmp_path: Path) -> None:
    text = """
import torch
from torch import nn

class Normalizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("new_mean", torch.zeros(3, 1, 1))
        self.register_buffer("new_std", torch.ones(3, 1, 1))

    def forward(self, x):
        return (x - self.new_mean) / self.new_std

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.normalizer, self.model = Normalizer(), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.model(self.normalizer(x))

def build():
    return Net()
"""
    (tmp_path / "net.py").write_text(text)
    space: dict[str, Any] = {}
    exec(text, space)
    state = dict(seeded(space["build"]()).state_dict())
    torch.save({"state_dict": prefixed("module.", state)}, tmp_path / "w.pt")
    model = load(f"A={tmp_path}/net.py:build@{tmp_path}/w.pt")
    assert all(torch.equal(model.network.state_dict()[name], value) for name, value in state.items())
    assert model.preprocessing.mean == IMAGENET_MEAN


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("features.module.0.weight", "features.0.weight"),
        ("features.denseblock1.denselayer1.norm.1.weight", "features.denseblock1.denselayer1.norm1.weight"),
        ("features.denseblock1.denselayer1.conv.2.weight", "features.denseblock1.denselayer1.conv2.weight"),
        ("last_layer.weight", "classifier.6.weight"),
        ("inception3a.branch4_conv.conv.weight", "inception3a.branch4.1.conv.weight"),
    ],
)
def test_names_of_old_networks(name: str, renamed: str) -> None:
    value = torch.ones(2)
    in_file = tensor_groups({"model": {f"module.{name}": value}})
    assert weights_for(in_file, {renamed: value}).state == {renamed: value}
    bare = tensor_groups({name: value})
    assert weights_for(bare, {name: value}).state == {name: value}  # a network that has the old name keeps it


def test_training_only_heads_are_dropped(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = seeded(torchvision.models.googlenet(weights=None, init_weights=False))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "g.pt")
    with torch.inference_mode():
        x = torch.rand(1, 3, 64, 64)
        assert torch.equal(load(f"googlenet@{tmp_path}/g.pt").network(x), network(x))


def test_torchvisions_own_file_is_known_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision's weights of GoogLeNet expect another range of values than those that others train."""
    network = torchvision.models.googlenet(weights=None, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "g.pt")
    digest = "1378be20" + "0" * 56  # as in googlenet-1378be20.pth
    assert load(f"googlenet@{tmp_path}/g.pt").network.transform_input is False
    monkeypatch.setattr("shapebias.precompute.models.checkpoints.read._sha256", lambda *_: digest)
    published = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1
    assert load(f"googlenet@{tmp_path}/g.pt").network.transform_input is False  # of another size
    monkeypatch.setitem(published.meta, "_file_size", round((tmp_path / "g.pt").stat().st_size / 2**20, 3))
    model = load(f"googlenet@{tmp_path}/g.pt")
    assert model.network.transform_input is True
    assert "IMAGENET1K_V1" in model.preprocessing.origin
    assert model.file_sha256 == digest


@pytest.mark.parametrize("std", [0.0, float("nan"), float("inf")])
def test_a_normaliser_that_makes_no_sense_is_one_line(tmp_path: Path, original: nn.Module, std: float) -> None:
    state = robustness(dict(original.state_dict()))
    state["normalizer.new_std"] = torch.full((3, 1, 1), std)
    torch.save({"model": state}, tmp_path / "w.pt")
    with pytest.raises(ShapebiasError, match="normaliser is unusable"):
        load(f"resnet18@{tmp_path}/w.pt")


def test_a_whole_pickled_network_says_so(tmp_path: Path, original: nn.Module) -> None:
    torch.save(original, tmp_path / "w.pt")
    with pytest.raises(ShapebiasError, match=r"state_dict\(\)"):
        load(f"resnet18@{tmp_path}/w.pt")


def test_the_schedule_is_what_weights_only_refuses(tmp_path: Path) -> None:
    """Else the `robustness` test would not show the unpickler."""
    torch.save({"schedule": PickledSchedule()}, tmp_path / "w.pt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "w.pt", weights_only=True)
