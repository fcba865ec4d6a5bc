"""Which layers are watched, and that what is seen there is what PyTorch computes there."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.hooks import Watch, WatchedLayer, first_tensor
from shapebias.precompute.models.layers import Trace


def trace(network: nn.Module, side: int = 64) -> Trace:
    return Trace(network.eval(), torch.rand(2, 3, side, side))


def seen(network: nn.Module, layers: list[WatchedLayer], images: Tensor) -> dict[str, Tensor]:
    """A copy of what each layer gives, by name."""
    outputs: dict[str, Tensor] = {}

    def see(index: int, output: Tensor) -> None:
        assert layers[index].name not in outputs
        outputs[layers[index].name] = output.clone()

    with torch.inference_mode(), Watch(network, layers, see):
        network(images)
    return outputs


def names(layers: list[WatchedLayer]) -> list[str]:
    return [layer.name for layer in layers]


# --- networks of the papers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alexnet() -> Trace:
    return trace(torchvision.models.alexnet(weights=None))


@pytest.fixture(scope="module")
def resnet() -> Trace:
    torch.manual_seed(0)
    return trace(torchvision.models.resnet50(weights=None))


@pytest.fixture(scope="module")
def googlenet() -> Trace:
    torch.manual_seed(0)
    return trace(torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False))


def test_alexnets_layers_are_its_five_convolutions_after_relu(alexnet: Trace) -> None:
    layers = alexnet.choose("paper")
    assert [(layer.name, layer.module, layer.units) for layer in layers] == [
        ("conv1", "features.1", 64),
        ("conv2", "features.4", 192),
        ("conv3", "features.7", 384),
        ("conv4", "features.9", 256),
        ("conv5", "features.11", 256),
    ]
    images = torch.rand(2, 3, 64, 64)
    outputs = seen(alexnet.network, layers, images)
    with torch.inference_mode():
        for layer in layers:
            index = int(layer.module.split(".")[1])
            expected = alexnet.network.features[: index + 1](images)
            torch.testing.assert_close(outputs[layer.name], expected)
            assert expected.shape[2:] == (layer.height, layer.width)
            assert expected.min() == 0


def test_all_of_alexnet_is_the_same_by_module_names(alexnet: Trace) -> None:
    layers = alexnet.choose("all")
    assert names(layers) == ["features.0", "features.3", "features.6", "features.8", "features.10"]
    assert [layer.module for layer in layers] == [layer.module for layer in alexnet.choose("paper")]


def test_resnets_layers_are_conv1_and_the_four_stages(resnet: Trace) -> None:
    layers = resnet.choose("paper")
    assert [(layer.name, layer.units) for layer in layers] == [
        ("conv1", 64),
        ("layer1", 256),
        ("layer2", 512),
        ("layer3", 1024),
        ("layer4", 2048),
    ]
    network, images = resnet.network, torch.rand(2, 3, 64, 64)
    outputs = seen(network, layers, images)
    with torch.inference_mode():
        x = network.relu(network.bn1(network.conv1(images)))
        torch.testing.assert_close(outputs["conv1"], x)
        x = network.maxpool(x)
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = getattr(network, name)(x)
            torch.testing.assert_close(outputs[name], x)


def test_convolutions_before_a_shared_in_place_relu_are_watched_after_their_own_call(resnet: Trace) -> None:
    layers = {layer.name: layer for layer in resnet.choose("all")}
    assert len(layers) == 53
    chosen = [layers[name] for name in ("conv1", "layer2.1.conv1", "layer2.1.conv2")]
    network, images = resnet.network, torch.rand(2, 3, 64, 64)
    outputs = seen(network, chosen, images)
    with torch.inference_mode():
        x = network.maxpool(functional.relu(network.bn1(network.conv1(images))))
        x = network.layer2[0](network.layer1(x))
        block = network.layer2[1]
        first = functional.relu(block.bn1(block.conv1(x)))
        second = functional.relu(block.bn2(block.conv2(first)))
    torch.testing.assert_close(outputs["layer2.1.conv1"], first)
    torch.testing.assert_close(outputs["layer2.1.conv2"], second)


def test_every_convolution_of_resnet_has_its_own_place(resnet: Trace) -> None:
    layers = resnet.choose("all")
    places = [(layer.module, layer.call) for layer in layers]
    assert len(set(places)) == len(places)
    convolutions = {name: module for name, module in resnet.network.named_modules() if isinstance(module, nn.Conv2d)}
    assert set(names(layers)) == set(convolutions)
    for layer in layers:
        assert layer.units == convolutions[layer.name].out_channels


def test_a_functional_relu_in_a_wrapper_is_watched_at_the_wrapper(googlenet: Trace) -> None:
    layers = googlenet.choose("all")
    assert len(layers) == 57
    network, images = googlenet.network, torch.rand(2, 3, 64, 64)
    outputs = seen(network, layers, images)
    for layer in layers:
        assert layer.name.startswith(f"{layer.module}.")
        assert outputs[layer.name].min() >= 0  # the batch norm's output would be negative in places
        assert outputs[layer.name].shape[1:] == (layer.units, layer.height, layer.width)


def test_googlenets_layers_are_its_convolutions_and_inceptions(googlenet: Trace) -> None:
    layers = googlenet.choose("paper")
    assert names(layers)[:4] == ["conv1", "conv2", "conv3", "inception3a"]
    assert {layer.name: layer.units for layer in layers}["inception5b"] == 1024
    assert len(layers) == 12


# --- other networks --------------------------------------------------------------------------------------------------


class SharedReLU(nn.Module):
    """One ReLU for two convolutions, in place, and one convolution without any."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(*channels, 3) for channels in ((3, 4), (4, 5), (5, 6)))
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.c(self.relu(self.b(self.relu(self.norm(self.a(x))))))
        return result


@pytest.mark.parametrize("inplace", [False, True])
def test_a_shared_relu_is_told_apart_by_its_calls(inplace: bool) -> None:
    network = SharedReLU(inplace).eval()
    layers = trace(network).choose("all")
    assert [(layer.name, layer.module, layer.call) for layer in layers] == [
        ("a", "relu", 0),
        ("b", "relu", 1),
        ("c", "c", 0),
    ]
    images = torch.rand(2, 3, 20, 20)
    outputs = seen(network, layers, images)
    with torch.inference_mode():
        a = functional.relu(network.norm(network.a(images)))
        b = functional.relu(network.b(a))
        torch.testing.assert_close(outputs["a"], a)
        torch.testing.assert_close(outputs["b"], b)
        torch.testing.assert_close(outputs["c"], network.c(b))


class Twice(nn.Module):
    """A block that is called twice in one forward, once in another."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
        self.times = 2

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.block(x)
        return x


def test_a_module_called_twice_is_watched_at_the_call_that_is_meant() -> None:
    network, images = Twice().eval(), torch.rand(2, 3, 8, 8)
    layers = [WatchedLayer(f"call{call}", "block", call, 3, 8, 8) for call in (0, 1)]
    with torch.inference_mode():
        first = network.block(images)
        second = network.block(first)
    for _ in range(2):  # counting starts again in every forward
        outputs = seen(network, layers, images)
        torch.testing.assert_close(outputs["call0"], first)
        torch.testing.assert_close(outputs["call1"], second)


def test_a_watch_counts_anew_in_every_forward_even_after_one_that_failed() -> None:
    network, images = Twice().eval(), torch.rand(2, 3, 8, 8)
    layer = WatchedLayer("first", "block", 0, 3, 8, 8)
    outputs: list[Tensor] = []
    with torch.inference_mode(), Watch(network, [layer], lambda _, output: outputs.append(output.clone())):
        network(images)
        with pytest.raises(RuntimeError):
            network(torch.rand(2, 5, 8, 8))
        network(images)
    assert len(outputs) == 2
    torch.testing.assert_close(outputs[0], outputs[1])


def test_a_watch_leaves_no_hooks() -> None:
    network = Twice()
    layer = WatchedLayer("first", "block", 0, 3, 8, 8)
    with pytest.raises(ZeroDivisionError), Watch(network, [layer], lambda *_: 1 / 0):  # type: ignore[arg-type,return-value]
        network(torch.rand(1, 3, 8, 8))
    assert not network._forward_pre_hooks
    assert not any(module._forward_hooks for module in network.modules())
    Trace(network, torch.rand(1, 3, 8, 8))
    assert not any(module._forward_hooks for module in network.modules())


class TupleOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.inner = ConvolutionAndNumber()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.inner(self.stem(x))[0]}


class ConvolutionAndNumber(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 7, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        return self.conv(x), 3


def test_outputs_may_be_tuples_and_dicts() -> None:
    network = TupleOutput().eval()
    (layer,) = trace(network).choose("inner")
    assert layer.units == 7
    images = torch.rand(1, 3, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(seen(network, [layer], images)["inner"], network(images)["out"])
    assert first_tensor(3) is None
    assert first_tensor((None, 3)) is None


def test_blocks_of_an_unknown_network(network_file: Path) -> None:
    space: dict = {}
    exec(network_file.read_text(), space)
    layers = trace(space["build"](), 32).choose("paper")
    assert [(layer.name, layer.units, layer.height) for layer in layers] == [
        ("block1", 16, 16),
        ("block2", 21, 8),
        ("block3", 33, 4),
    ]


def test_a_network_in_one_sequential_is_opened() -> None:
    blocks = [nn.Sequential(nn.Conv2d(3 if not number else 4, 4, 3), nn.ReLU()) for number in range(4)]
    network = nn.Sequential(nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert names(trace(network).choose("paper")) == ["0.0", "0.1", "0.2", "0.3"]


# --- the user's wish -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("conv1", ["conv1"]),
        ("layer4,conv1", ["layer4", "conv1"]),
        ("layer*", ["layer1", "layer2", "layer3", "layer4"]),
        ("layer[12]", ["layer1", "layer2"]),
        (" conv1 , layer2 ,", ["conv1", "layer2"]),
        ("layer1,layer*", ["layer1", "layer2", "layer3", "layer4"]),
        ("layer1.0.conv?", ["layer1.0.conv1", "layer1.0.conv2", "layer1.0.conv3"]),
        ("layer1.0", ["layer1.0"]),
        ("maxpool", ["maxpool"]),
        ("fc", ["fc"]),
    ],
)
def test_names_and_globs(resnet: Trace, choice: str, expected: list[str]) -> None:
    assert names(resnet.choose(choice)) == expected


@pytest.mark.parametrize("choice", ["conv9", "layer1,nothing", "avgpool*x", "\x1b[31m"])
def test_unknown_names_are_usage_errors_that_say_what_there_is(resnet: Trace, choice: str) -> None:
    with pytest.raises(UsageError) as error:
        resnet.choose(choice)
    text = str(error.value)
    assert text.isprintable()
    assert "conv1" in text or "layer" in text


def test_a_linear_layer_by_name_has_its_outputs_as_units(resnet: Trace) -> None:
    (layer,) = resnet.choose("fc")
    assert (layer.units, layer.height, layer.width) == (1000, 1, 1)
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(seen(resnet.network, [layer], images)["fc"].flatten(1), resnet.network(images))


def test_a_typo_gets_a_hint(resnet: Trace) -> None:
    with pytest.raises(UsageError, match="layer4"):
        resnet.choose("layr4")


def test_a_network_without_maps_is_one_line() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5))
    for choice in ("paper", "all"):
        with pytest.raises(ShapebiasError, match="no layer with activation maps"):
            trace(network).choose(choice)


def test_a_known_network_that_the_user_cut_short_works_or_is_one_line() -> None:
    network = torchvision.models.alexnet(weights=None)
    network.features = network.features[:5]
    network.classifier = nn.Linear(192 * 36, 3)
    try:
        layers = trace(network).choose("paper")
    except ShapebiasError:
        return
    assert layers


# --- kernels ---------------------------------------------------------------------------------------------------------


class Joined(nn.Module):
    """Two branches side by side, as Inception has."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(8, 5, 1), nn.Conv2d(8, 6, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.one(x), self.other(x)], 1)


def test_kernels_are_of_the_last_convolution_with_the_layers_units() -> None:
    network = nn.Sequential(
        OrderedDict(
            first=nn.Sequential(nn.Conv2d(3, 8, 7), nn.BatchNorm2d(8), nn.ReLU()),
            pool=nn.MaxPool2d(2),
            joined=Joined(),
            depthwise=nn.Conv2d(11, 11, 3, groups=11),
            point=nn.Conv2d(11, 4, 1),
        )
    ).eval()
    trace = Trace(network, torch.zeros(1, 3, 32, 32))
    kernels = {layer.name: trace.kernel(layer) for layer in trace.choose("first,pool,joined,depthwise,point")}
    assert kernels["first"] is not None
    assert kernels["pool"] is not None
    assert kernels["depthwise"] is not None
    assert torch.equal(kernels["first"], network.first[0].weight)
    assert torch.equal(kernels["pool"], network.first[0].weight)
    assert kernels["joined"] is None
    assert kernels["depthwise"].shape == (11, 1, 3, 3)
    assert not kernels["first"].requires_grad
