"""`timm:NAME`, with a checkpoint of one's own and with timm's weights."""

import sys
from pathlib import Path

import pytest
import timm
import torch

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import check_sources, parse_spec, timm_files

NAME = "tf_efficientnet_b0.ap_in1k"  # AdvProp: timm says its preprocessing


def test_a_checkpoint_gives_the_originals_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model(NAME, pretrained=False).eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "w.pt")
    model = load_model(parse_spec(f"timm:{NAME}@{tmp_path}/w.pt"))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.network(x), network(x))
    assert (model.preprocessing.mean, model.preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)
    assert model.preprocessing.origin == "the model's pretrained_cfg"
    assert model.label == NAME
    assert model.class_ids is not None
    assert len(model.class_ids) == 1000


def test_the_stages_are_watched() -> None:
    model = load_model(parse_spec(f"timm:{NAME}"), download=False)
    layers = Trace(model.network, torch.rand(1, 3, 64, 64)).choose("paper")
    assert [layer.name for layer in layers] == ["conv_stem", *(f"blocks.{index}" for index in range(7)), "conv_head"]


def test_another_number_of_classes(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet10t", pretrained=False, num_classes=4).state_dict(), tmp_path / "w.pt")
    model = load_model(parse_spec(f"timm:resnet10t@{tmp_path}/w.pt"))
    assert model.network.num_classes == 4
    assert model.class_ids is None


@pytest.mark.parametrize("error", [OSError("no route\nto host"), RuntimeError("no pretrained weights")])
def test_weights_that_cannot_be_had_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    with pytest.raises(ShapebiasError, match="--model timm:resnet10t@FILE") as caught:
        load_model(parse_spec("timm:resnet10t"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resnet5O", "hf-hub:someone/model", "local-dir:/tmp", "\x1b[31m", ""])
def test_a_name_that_timm_does_not_have(name: str) -> None:
    with pytest.raises(UsageError) as error:
        load_model(parse_spec(f"A=timm:{name}"))
    assert "\x1b" not in str(error.value)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"pip install 'shapebias\[timm\]'"):
        load_model(parse_spec("timm:resnet18"))


def test_every_network_of_timm_is_known_without_importing_it() -> None:
    networks = timm.list_models()
    check_sources([parse_spec(f"timm:{name}") for name in networks[::100]])
    check_sources([parse_spec("timm:convnext_tiny_in22ft1k"), parse_spec(f"timm:{NAME}")])  # an earlier name
    assert sorted(timm_files()[1]) == sorted(networks)
    with pytest.raises(UsageError, match="timm has no model resnet5o: try resnet50"):
        check_sources([parse_spec("timm:resnet5o")])
