"""Networks of torchvision with random weights from a seed: no weights can be downloaded where the check runs."""

from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from benchmarks.gpu.photos import picture
from benchmarks.gpu.setup import Setup
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.runner import Runner, prepare

_SIDE = 224
_CALIBRATED_ON = 8  # images
_BRANCH = 0.25  # the standard deviation of what a residual branch adds to a stream of about 1


def pixels(count: int, first: int = 0) -> NDArray[np.uint8]:
    """Return the pictures with the seeds from `first` to `first` + `count` - 1, uint8 [count, 224, 224, 3]."""
    return np.stack([np.asarray(picture(first + number, _SIDE, _SIDE)) for number in range(count)])


def random_network(name: str) -> nn.Module:
    """Return a network whose batch norms hold the statistics of some pictures, so that no activation grows or dies.

    Residual branches are scaled down, as training does, so that rounding does not grow from block to block.
    """
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.get_model(name, weights=None)
    for block in network.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            nn.init.constant_((block.bn3 if isinstance(block, Bottleneck) else block.bn2).weight, _BRANCH)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        images = torch.from_numpy(pixels(_CALIBRATED_ON)).permute(0, 3, 1, 2).float() / 64 - 2
        for norm in norms:
            norm.momentum = None  # so that the statistics are those of the pictures alone, not moving averages
        with torch.no_grad():
            network.train()(images)
    return network.eval()


def spec(setup: Setup, name: str) -> ModelSpec:
    """Return the specification of a torchvision network with random weights, which are written to a file first."""
    file = setup.folder / f"{name}.pth"
    if not file.exists():
        torch.save(random_network(name).state_dict(), file)
    return ModelSpec(name, name, file)


def runner(setup: Setup, name: str, precision: str) -> Runner:
    """Return a network on the device, with the layers that are measured."""
    nothing = ImageSet(root=Path(), paths=[], labels=np.zeros(0, np.int32))
    return prepare(load_model(spec(setup, name)), nothing, setup.device(precision), setup.sizes.network_layers)
