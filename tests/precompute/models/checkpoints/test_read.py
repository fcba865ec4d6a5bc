"""A checkpoint that changes while it is read, or that holds itself; weights that are chosen; what is quantised."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.checkpoints import read
from shapebias.precompute.models.checkpoints.contents import tensor_groups
from shapebias.precompute.models.checkpoints.formats import weights_for
from shapebias.precompute.models.checkpoints.nearest import nearest_architecture
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec

STATE = {"conv.weight": torch.ones(4, 3, 3, 3), "conv.bias": torch.arange(4.0)}


def save_safely(path: Path) -> None:
    save_file(STATE, path)


@pytest.mark.parametrize("save", [lambda path: torch.save(STATE, path), save_safely], ids=["torch", "safetensors"])
@pytest.mark.parametrize("change", ["longer", "shorter", "replaced", "gone"])
def test_a_file_that_changes_while_it_is_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[Path], None], change: str
) -> None:
    path = tmp_path / "w.pt"
    save(path)
    whole = path.read_bytes()
    really = read._read

    def while_it_is_written(file: Path) -> Any:
        if change == "gone":
            path.unlink()
        elif change == "replaced":
            (tmp_path / "new").write_bytes(whole)
            (tmp_path / "new").replace(path)
        else:
            path.write_bytes(whole + b"more" if change == "longer" else whole[:-40])
        return really(file)

    monkeypatch.setattr(read, "_read", while_it_is_written)
    with pytest.raises(ShapebiasError, match=r"changed while it was read: start again when it is written$"):
        read.read_checkpoint(path)


def test_a_file_that_changes_before_its_digest_is_one_line(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pt")
    checkpoint = read.read_checkpoint(tmp_path / "w.pt")
    torch.save({"other": STATE}, tmp_path / "w.pt")
    with pytest.raises(ShapebiasError, match="changed while it was read"):
        checkpoint.sha256.result()


def test_a_pickle_that_holds_itself_is_read(tmp_path: Path) -> None:
    content: dict[str, Any] = {"model": STATE}
    content["again"] = content
    content["many"] = [content] * 100
    torch.save(content, tmp_path / "w.pt")
    assert read.read_checkpoint(tmp_path / "w.pt").groups[0].keys == "model"


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    network = torchvision.models.squeezenet1_1(num_classes=4)
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"weights=ema: the file has no such weights; it has model"):
        load_model(parse_spec(f"squeezenet1_1@{tmp_path}/w.pt,weights=ema"))
    with pytest.raises(UsageError, match="weights=ema chooses in a checkpoint"):
        load_model(parse_spec("squeezenet1_1,weights=ema"))
    model = load_model(parse_spec(f"squeezenet1_1@{tmp_path}/w.pt,weights=raw"))
    assert model.source.endswith("w.pt,weights=raw")


def test_shapes_tell_an_architecture_whose_names_are_others() -> None:
    state = torchvision.models.resnet34(num_classes=10).state_dict()
    nearest = nearest_architecture(
        tensor_groups({re.sub(r"\d", "x\\g<0>", name): value for name, value in state.items()})
    )
    assert nearest is not None
    assert (nearest.name, nearest.names_fit, nearest.is_same) == ("resnet34", False, True)


@pytest.mark.filterwarnings("ignore:torch.quantize_per")
@pytest.mark.parametrize("axis", [None, 0])
def test_quantised_tensors_of_pytorch_are_multiplied_out(axis: int | None) -> None:
    value = torch.randn(4, 3, 3, 3)
    if axis is None:
        quantised = torch.quantize_per_tensor(value, 0.05, 0, torch.qint8)
    else:
        quantised = torch.quantize_per_channel(value, torch.full((4,), 0.05), torch.zeros(4), 0, torch.qint8)
    weights = weights_for(tensor_groups({"conv.weight": quantised}), {"conv.weight": value})
    torch.testing.assert_close(weights.state["conv.weight"], value.clamp(-6.4, 6.35), atol=0.026, rtol=0)
    assert weights.notes == ["its weights are qint8: multiplied by the scales in the file"]


def test_zero_points_are_subtracted() -> None:
    whole = torch.tensor([[0, 128, 255]], dtype=torch.uint8)
    state = {"fc.weight": whole, "fc.weight_scale": torch.tensor(0.5), "fc.weight_zero_point": torch.tensor(128)}
    weights = weights_for(tensor_groups(state), {"fc.weight": torch.zeros(1, 3)})
    assert weights.state["fc.weight"].tolist() == [[-64.0, 0.0, 63.5]]


def test_nothing_of_a_plain_pickle_is_called(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "created",)

    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"bomb": Bomb(), "state": {"a": 1}}))
    read.read_checkpoint(tmp_path / "w.pkl")
    assert not (tmp_path / "created").exists()
