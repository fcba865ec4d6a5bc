"""The rest of a network behind a layer, against the whole network."""

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from shapebias.precompute.ablation.remainder import NoRestError, Rest, take_rows
from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.models.layers import Trace


class Chain(nn.Module):
    """Four 3 x 3 convolutions, `around(x, self)` between the second and the head, one module called twice."""

    def __init__(self, around: Callable[["Chain", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(inputs, 6, 3, padding=1) for inputs in (3, 6, 6))
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 5)
        self.around = around

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.around(self, self.relu(self.first(images))).mean((2, 3)))
        return scores


def straight(net: Chain, x: Tensor) -> Tensor:
    return net.third(net.relu(net.second(x)))  # type: ignore[no-any-return]


def residual(net: Chain, x: Tensor) -> Tensor:
    return net.third(net.relu(net.second(x))) + x  # type: ignore[no-any-return]


def in_place_residual(net: Chain, x: Tensor) -> Tensor:
    x += net.third(net.relu(net.second(x)))
    return x


def masked(net: Chain, x: Tensor) -> Tensor:
    """A comparison swallows NaN: only the numbers tell that x is used."""
    return net.third(net.relu(net.second(x))) * (x > 0.3)  # type: ignore[no-any-return]


def layer_of(network: nn.Module, module: str, call: int = 0) -> WatchedLayer:
    with torch.inference_mode():
        recording = Trace(network, torch.zeros(2, 3, 64, 64)).recording
    output = recording.calls_of(module)[0].output
    assert output is not None
    return WatchedLayer(module, module, call, *output.shape[1:])


def make(around: Callable[[Chain, Tensor], Tensor]) -> Chain:
    torch.manual_seed(0)
    return Chain(around).eval()


def check_split(network: nn.Module, layer: WatchedLayer) -> None:
    """Replays with changed outputs are what a hook in the whole network gives, to the bit; the network is untouched."""
    torch.manual_seed(1)
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        rest = Rest(network, layer, images[:2])
        seen: list[Tensor] = []
        with Watch(network, [layer], lambda _, output: seen.append(output.clone())):
            plain = network(images)
        assert torch.equal(rest(seen[0].clone()), plain)
        changed = torch.randn_like(seen[0])
        with Watch(network, [layer], lambda *_: changed.clone()):
            wanted = network(images)
        assert torch.equal(rest(changed.clone()), wanted)
        assert not torch.equal(wanted, plain)
        assert torch.equal(network(images), plain)
    assert not any("forward" in module.__dict__ for module in network.modules())


@pytest.mark.parametrize(("module", "call"), [("first", 0), ("relu", 0), ("second", 0), ("relu", 1), ("third", 0)])
def test_a_chain_is_split_at_every_layer(module: str, call: int) -> None:
    network = make(straight)
    check_split(network, layer_of(network, module, call))


@pytest.mark.parametrize("around", [residual, in_place_residual, masked])
def test_a_branch_around_the_layer_is_noticed(around: Callable[[Chain, Tensor], Tensor]) -> None:
    network = make(around)
    with torch.inference_mode(), pytest.raises(NoRestError):
        Rest(network, layer_of(network, "second"), torch.randn(2, 3, 64, 64))
    check_split(network, layer_of(network, "first"))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_torchvision_networks_are_split_at_their_layers(name: str) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    with torch.inference_mode():
        layers = Trace(network, torch.zeros(2, 3, 64, 64)).paper()
    for layer in layers[:2] + layers[-2:-1]:
        check_split(network, layer)


def test_several_outputs_cannot_be_replaced() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.convolution(x), x

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = Two()

        def forward(self, x: Tensor) -> Tensor:
            return self.two(x)[0].mean((2, 3))  # type: ignore[no-any-return]

    network = Network().eval()
    with torch.inference_mode(), pytest.raises(NoRestError, match="more than one"):
        Rest(network, layer_of(network, "two"), torch.randn(2, 3, 64, 64))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_rows_keep_the_memory_format(memory_format: torch.memory_format) -> None:
    maps = torch.randn(3, 4, 5, 6).contiguous(memory_format=memory_format)
    rows = torch.tensor([2, 0, 2, 1])
    taken = take_rows(maps, rows)
    assert torch.equal(taken, maps[rows])
    assert taken.is_contiguous(memory_format=memory_format)
