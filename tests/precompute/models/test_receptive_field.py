"""Receptive fields against gradients through networks whose weights are all positive, and published values."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.receptive_field import receptive_fields


def fields(network: nn.Module, layers: str, side: int = 64) -> dict[str, int | None]:
    chosen = Trace(network.eval(), torch.rand(1, 3, side, side)).choose(layers)
    return {layer.name: size for layer, size in zip(chosen, receptive_fields(network, chosen, side), strict=True)}


def by_gradient(network: nn.Module, layers: list[WatchedLayer], width: int) -> list[int]:
    """Return how many input columns have a gradient from the middle unit: with positive weights none cancels."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):  # its gradient goes to one place of the window only
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, name, pool)
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    network.double().eval()
    seen: dict[int, Tensor] = {}
    images = torch.ones(1, 3, 64, width, dtype=torch.float64, requires_grad=True)
    with Watch(network, layers, lambda index, output: seen.__setitem__(index, output.clone())):
        network(images)
    sizes = []
    for index in range(len(layers)):
        maps = seen[index]
        (gradient,) = torch.autograd.grad(
            maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2].sum(), images, retain_graph=True
        )
        sizes.append(int((gradient.abs().sum((0, 1, 2)) > 0).sum()))
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "published"),
    [
        ("alexnet", 400, {"conv1": 11, "conv2": 51, "conv3": 99, "conv4": 131, "conv5": 163}),
        ("resnet50", 1000, {"conv1": 7, "layer1": 35, "layer2": 91, "layer3": 267, "layer4": 427}),
    ],
)
def test_the_studies_networks_against_gradients(name: str, width: int, published: dict[str, int]) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    layers = Trace(network, torch.rand(1, 3, 224, 224)).choose("paper")
    measured = receptive_fields(network, layers, 224)
    assert measured == by_gradient(network, layers, width) == list(published.values())
    assert [layer.name for layer in layers] == list(published)


class Odd(nn.Module):
    """Strides, dilation, even kernels, padding on one side, branches, and a functional pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 4, 3)
        self.b = nn.Conv2d(4, 4, 3, dilation=5)
        self.c = nn.Conv2d(8, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.a(x))
        wide = self.b(functional.pad(x, (10, 0, 5, 5)))
        x = functional.max_pool2d(torch.cat([x, wide], 1), 2, 1)
        return self.c(x).mean((2, 3))


def test_any_forward_is_followed() -> None:
    """By hand: a sees 4 px, stride 3; b 4 + 3 * 10, the pooling and c one stride more each."""
    by_layer = fields(Odd(), "all")
    assert by_layer == {"a": 4, "b": 34, "c": 40}


def test_global_operations_see_the_whole_image() -> None:
    by_layer = fields(torchvision.models.efficientnet_b0(weights=None), "paper")
    assert by_layer.pop("features.0") == 3
    assert set(by_layer.values()) == {None}


class FixedSize(nn.Module):
    """Takes images of 64 px only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 7, 2)
        self.last = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] != (64, 64):
            raise ValueError("64 px!")
        return self.last(self.conv(x))


def test_a_network_for_one_size_is_measured_on_it() -> None:
    assert fields(FixedSize(), "all") == {"conv": 7, "last": 11}


def test_the_network_is_left_as_it_was() -> None:
    network = Odd().eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(images)
        fields(network, "all")
        assert torch.equal(network(images), before)
    assert "forward" not in vars(network.a)
