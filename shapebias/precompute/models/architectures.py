"""torchvision's classifiers without their weights, and without the heads that only training needs."""

from typing import Any

import torch
from torch import nn

RESCALING = ("googlenet", "inception_v3")  # they can rescale their input


def torchvision_names() -> list[str]:
    """Every classifier, in alphabetical order."""
    import torchvision

    names: list[str] = torchvision.models.list_models(torchvision.models)
    return names


def without_memory(name: str, classes: int | None = None, rescale: bool = False) -> nn.Module:
    """A classifier on the meta device, as setting random weights takes longer than reading a file.

    `rescale`: GoogLeNet and Inception turn ImageNet's usual mean and std into 0.5 themselves.
    """
    try:
        with torch.device("meta"):
            network = _build(name, classes, rescale)
    except NotImplementedError:  # it computes its widths with tensors (RegNet)
        return _build(name, classes, rescale)
    kept = network.state_dict()
    if any(buffer not in kept for buffer, _ in network.named_buffers()):  # no checkpoint would fill it
        return _build(name, classes, rescale)
    return network


def _build(name: str, classes: int | None, rescale: bool) -> nn.Module:
    import torchvision

    settings: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if name in RESCALING:
        settings |= {"init_weights": False, "transform_input": rescale}
    network: Any = torchvision.models.get_model(name, weights=None, **settings)
    if name == "googlenet":
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    elif name == "inception_v3":
        network.aux_logits, network.AuxLogits = False, None
    built: nn.Module = network
    return built
