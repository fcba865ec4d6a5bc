"""Why a checkpoint does not fit: the names, the likely reason, and other numbers of classes, which do fit."""

from pathlib import Path

import pytest
import torch
import torchvision

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.models.checkpoints.contents import tensor_groups
from shapebias.precompute.models.checkpoints.nearest import nearest_architecture
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.spec import parse_spec


def load(text: str) -> LoadedModel:
    return load_model(parse_spec(text))


def fails(text: str) -> str:
    with pytest.raises(ShapebiasError) as error:
        load(text)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_architecture_is_guessed(tmp_path: Path) -> None:
    torch.save({"state_dict": torchvision.models.resnet18(num_classes=7).state_dict()}, tmp_path / "w.pt")
    message = fails(f"squeezenet1_1@{tmp_path}/w.pt")
    assert "52 missing (features.0.weight, features.0.bias, …)" in message
    assert "122 unexpected (conv1.weight, bn1.weight, …)" in message
    assert "it looks like torchvision's resnet18: try --model resnet18@FILE" in message


def test_an_architecture_that_nobody_knows(tmp_path: Path) -> None:
    state = torchvision.models.squeezenet1_1().state_dict()
    state["features.0.weight"] = torch.zeros(9, 3, 5, 5)
    torch.save(state, tmp_path / "w.pt")
    message = fails(f"squeezenet1_1@{tmp_path}/w.pt")
    assert "1 of another shape (features.0.weight: 9x3x5x5 in the file, 64x3x3x3 in the network)" in message
    assert "another architecture" in message


def test_a_guess_does_not_depend_on_classes_or_prefixes() -> None:
    state = torchvision.models.mobilenet_v2(num_classes=3).state_dict()
    nearest = nearest_architecture(tensor_groups({f"module.{name}": value for name, value in state.items()}))
    assert nearest is not None
    assert (nearest.name, nearest.names_fit) == ("mobilenet_v2", True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v2"])
def test_a_network_of_another_number_of_classes_is_built_for_them(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, num_classes=7).eval()
    torch.save({"model": network.state_dict()}, tmp_path / "w.pt")
    (tmp_path / "classes.txt").write_text("\n".join("abcdefg"))
    model = load(f"{name}@{tmp_path}/w.pt,classes={tmp_path}/classes.txt")
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.network(x), network(x))
    assert model.class_ids == list("abcdefg")
    assert load(f"{name}@{tmp_path}/w.pt").class_ids is None


def test_code_that_builds_another_number_of_classes_is_told_so(tmp_path: Path) -> None:
    text = "import torchvision\ndef build():\n    return torchvision.models.squeezenet1_1(num_classes=5)\n"
    (tmp_path / "net.py").write_text(text)
    torch.save(torchvision.models.squeezenet1_1(num_classes=7).state_dict(), tmp_path / "w.pt")
    message = fails(f"A={tmp_path}/net.py:build@{tmp_path}/w.pt")
    assert "it is of a network with 7 classes, not 5" in message


def test_imagenets_classes_are_known_by_their_number(tmp_path: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "w.pt")
    ids = load(f"squeezenet1_1@{tmp_path}/w.pt").class_ids
    assert ids is not None
    assert (len(ids), ids[0]) == (1000, "n01440764")
