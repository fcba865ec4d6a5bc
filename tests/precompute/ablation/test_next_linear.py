"""A unit's share of the next convolution or linear layer."""

import pytest
import torch
from torch import nn

from shapebias.precompute.ablation.next_linear import NextLinear
from shapebias.precompute.ablation.remainder import NoRestError, Rest
from shapebias.precompute.models.hooks import WatchedLayer


def next_linear(*between: nn.Module) -> tuple[nn.Sequential, NextLinear]:
    """A network whose first convolution has 6 units, `between` behind it, and what was found for that layer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), *between, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.append(nn.Linear(8, 4)).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        layer = WatchedLayer("0", "0", 0, 6, 16, 16)
        return network, NextLinear(network, layer, images, Rest(network, layer, images))


@pytest.mark.parametrize(
    "between",
    [
        [nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 3, stride=2, padding=1)],
        [nn.AvgPool2d(2), nn.Dropout(), nn.Conv2d(6, 8, 3, padding="same", dilation=2, bias=False)],
        [nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Linear(96, 32), nn.Unflatten(1, (8, 2, 2))],
    ],
)
def test_the_share_is_what_zeroing_takes_away(between: list[nn.Module]) -> None:
    network, linear = next_linear(*between)
    images = torch.randn(3, 3, 16, 16)
    rows, units = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([1, 1, 1, 4, 5, 5])
    with torch.inference_mode():
        maps = network[0](images)
        inputs = linear.inputs(maps.clone())
        logits = linear.rest(linear.without(inputs, linear.module(inputs), rows, units))
        outputs = linear.module(inputs)
        plain = linear.without(inputs, outputs, rows, units)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(linear.without(inputs, outputs, rows, units), plain)
        zeroed = maps[rows]
        zeroed[torch.arange(6), units] = 0
        wanted = network[1:](zeroed)
    assert torch.allclose(logits, wanted, atol=1e-6)
    assert not torch.allclose(logits, network[1:](maps[rows]), atol=1e-4)


@pytest.mark.parametrize(
    "between",
    [
        [nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3)],  # zero is not zero behind it
        [nn.LocalResponseNorm(3), nn.Conv2d(6, 8, 3)],
        [nn.Softmax(1), nn.Conv2d(6, 8, 3)],
        [nn.PixelShuffle(1), nn.ChannelShuffle(2), nn.Conv2d(6, 8, 3)],
        [nn.ReLU(), nn.Conv2d(6, 8, 3, groups=2)],
        [nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect")],
    ],
)
def test_where_units_share_inputs_there_is_none(between: list[nn.Module]) -> None:
    torch.manual_seed(0)
    for module in between:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias)
    with pytest.raises(NoRestError):
        next_linear(*between)
