"""torchvision's classifiers without their weights, and without the heads that only training needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_WITH_HEADS = ("googlenet", "inception_v3")


def torchvision_names() -> list[str]:
    """Return every classifier, in alphabetical order."""
    import torchvision

    names: list[str] = torchvision.models.list_models(torchvision.models)
    return names


def unset_network(name: str, classes: int | None = None) -> nn.Module:
    """Return a classifier whose weights are whatever was in memory: setting random ones takes longer than reading a
    file."""
    with _no_random_weights():
        network = _build(name, classes)
    if any(module._non_persistent_buffers_set for module in network.modules()):  # no checkpoint would fill them
        return _build(name, classes)
    return network


@contextmanager
def _no_random_weights() -> Iterator[None]:
    """Make the functions of torch.nn.init leave tensors as they are while the block runs."""
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
