"""torchvision's classifiers, without weights and without the heads that only training needs; the layers of the
studies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
# By the class in torchvision.models: the studies' names of layers, and their modules.
PAPER: dict[str, dict[str, str]] = {
    "AlexNet": {f"conv{number}": f"features.{index}" for number, index in enumerate((1, 4, 7, 9, 11), 1)},
    "GoogLeNet": {f"conv{number}": f"conv{number}" for number in (1, 2, 3)}
    | {f"inception{name}": f"inception{name}" for name in _INCEPTIONS},
    "ResNet": {"conv1": "relu"} | {f"layer{number}": f"layer{number}" for number in (1, 2, 3, 4)},
    "DenseNet": {"conv0": "features.relu0"}
    | {f"denseblock{number}": f"features.denseblock{number}" for number in (1, 2, 3, 4)},
    "MobileNetV2": {"conv1": "features.0"}  # its seven stages, as in table 2 of Sandler et al. 2018
    | {f"bottleneck{number}": f"features.{index}" for number, index in enumerate((1, 3, 6, 10, 13, 16, 17), 1)}
    | {"conv2": "features.18"},
}
STUDIED = ("alexnet", "googlenet", "resnet50", "densenet161", "mobilenet_v2")  # the networks of the two studies
_WITH_HEADS = ("googlenet", "inception_v3")


def torchvision_names() -> list[str]:
    """Return the names of all of torchvision's classifiers, in alphabetical order."""
    import torchvision

    names: list[str] = torchvision.models.list_models(torchvision.models)
    return names


def unset_network(name: str, classes: int | None = None) -> nn.Module:
    """Return the torchvision classifier `name` with weights that hold any values, to be filled or overwritten.

    Drawing random weights would take longer than reading a file. Only a network with buffers that checkpoints do not
    contain gets random weights, with these buffers as they should be. It has `classes` outputs; None: its own number.
    """
    with _no_random_weights():
        network = _build(name, classes)
    if any(module._non_persistent_buffers_set for module in network.modules()):  # checkpoints do not contain these
        return _build(name, classes)
    return network


@contextmanager
def _no_random_weights() -> Iterator[None]:
    """Make the functions of torch.nn.init leave tensors unchanged during the block."""
    usual = {name: function for name, function in vars(nn.init).items() if name.endswith("_") and callable(function)}

    def leave(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        return tensor

    vars(nn.init).update(dict.fromkeys(usual, leave))
    try:
        yield
    finally:
        vars(nn.init).update(usual)


def _build(name: str, classes: int | None) -> nn.Module:
    import torchvision

    settings: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if name in _WITH_HEADS:
        settings |= {"init_weights": False}
    network: Any = torchvision.models.get_model(name, weights=None, **settings)
    if name == "googlenet":
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    elif name == "inception_v3":
        network.aux_logits, network.AuxLogits = False, None
    built: nn.Module = network
    return built
