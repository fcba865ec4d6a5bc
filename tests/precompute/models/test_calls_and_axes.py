"""Modules that run several times or have several names, and tensors whose channels are elsewhere or cannot be told."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.models.layers import Trace, repetition_notes


def seen(network: nn.Module, layers: list[WatchedLayer], images: Tensor) -> list[Tensor]:
    """Return a copy of each layer's maps."""
    by_layer: dict[int, Tensor] = {}
    with torch.inference_mode(), Watch(network, layers, lambda index, maps: by_layer.update({index: maps.clone()})):
        network(images)
    return [by_layer[index] for index in range(len(layers))]


def names(layers: list[WatchedLayer]) -> list[str]:
    return [layer.name for layer in layers]


# --- several calls ---------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """One block, three times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 6, 3, 2), nn.Linear(6, 5)
        self.block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.block(x)
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("all", ["stem", "block.0#1", "block.0#2", "block.0#3"]),
        ("block#2", ["block#2"]),
        ("block", ["block#1", "block#2", "block#3"]),
        ("block.0#3,stem", ["block.0#3", "stem"]),
        ("block#*", ["block#1", "block#2", "block#3"]),
    ],
)
def test_every_call_is_a_layer_of_its_own(request_: str, expected: list[str]) -> None:
    network, images = Recurrent().eval(), torch.randn(3, 3, 16, 16)
    layers = Trace(network, torch.rand(2, 3, 16, 16)).choose(request_)
    assert names(layers) == expected
    with torch.inference_mode():
        by_hand = {"stem": network.stem(images)}
        x = by_hand["stem"]
        for call in (1, 2, 3):
            x = functional.relu(network.block[0](x))
            by_hand[f"block#{call}"] = x
    for layer, maps in zip(layers, seen(network, layers, images), strict=True):
        torch.testing.assert_close(maps, by_hand[layer.name.replace(".0", "")])


def test_repeated_modules_are_told_to_the_user() -> None:
    trace = Trace(Recurrent().eval(), torch.rand(2, 3, 16, 16))
    assert repetition_notes(trace.choose("stem")) == []
    (note,) = repetition_notes(trace.choose("all"))
    assert note == ("block.0 runs several times in a forward: block.0#1, block.0#2, block.0#3 are layers of their own")
    (note,) = repetition_notes(trace.choose("block#2"))
    assert note == "block runs several times in a forward: block#2 is one of its calls"


def test_a_call_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UsageError, match="no layer block#9: there are block#"):
        Trace(Recurrent().eval(), torch.rand(2, 3, 16, 16)).choose("block#9")


class OnDemand(nn.Module):
    """Runs one part of it for bright images only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.part = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.relu(self.stem(x))
        return functional.relu(self.part(maps)) if bool(x.mean() > 0) else maps


def test_a_layer_that_does_not_run_for_all_images_is_one_line() -> None:
    network = OnDemand().eval()
    layers = Trace(network, torch.ones(2, 3, 16, 16)).choose("all")
    assert names(layers) == ["stem", "part"]
    seen(network, layers, torch.ones(2, 3, 16, 16))
    with pytest.raises(ShapebiasError, match="layer part does not run for all images: leave it out of --layers"):
        seen(network, layers, -torch.ones(2, 3, 16, 16))


# --- several names ---------------------------------------------------------------------------------------------------


class Shared(nn.Module):
    """One object under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU())
        self.net = nn.Sequential(self.trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x)
        return scores


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("all", ["trunk.0"]),
        ("paper", ["trunk.0"]),
        ("trunk.0", ["trunk.0"]),
        ("net.0.0", ["trunk.0"]),
        ("net.0", ["trunk"]),
        ("net.0.0,trunk.0,net.0,trunk", ["trunk"]),
    ],
)
def test_a_module_under_two_names_is_one_layer_by_either(request_: str, expected: list[str]) -> None:
    layers = Trace(Shared().eval(), torch.rand(2, 3, 16, 16)).choose(request_)
    assert names(layers) == expected
    assert {layer.after for layer in layers} == {("relu",)}


def test_layers_with_tied_weights_have_the_names_of_their_modules() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.Flatten(), nn.LazyLinear(4))
    network[2].weight = network[0].weight
    network(torch.rand(2, 3, 16, 16))
    assert names(Trace(network.eval(), torch.rand(2, 3, 16, 16)).choose("all")) == ["0", "2"]


# --- functions with weights ------------------------------------------------------------------------------------------


class Functions(nn.Module):
    """Convolutions as functions: of parameters, and of a filter that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.second = nn.Module()
        self.second.weight = nn.Parameter(torch.randn(5, 4, 3, 3))
        self.register_buffer("blur", torch.ones(5, 1, 3, 3) / 9)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(functional.conv2d(x, self.filters))
        x = torch.tanh(functional.conv2d(x, weight=self.second.weight))
        return functional.conv2d(x, self.blur, groups=5).abs().mean((2, 3))


def test_functions_have_the_names_of_their_weights_or_their_own() -> None:
    network, images = Functions().eval(), torch.randn(2, 3, 12, 12)
    layers = Trace(network, images).choose("all")
    assert [(layer.name, layer.units, layer.after) for layer in layers] == [
        ("filters", 4, ("relu",)),
        ("second", 5, ("tanh",)),
        ("conv2d", 5, ("abs",)),
    ]
    first = functional.relu(functional.conv2d(images, network.filters))
    second = torch.tanh(functional.conv2d(first, network.second.weight))
    third = functional.conv2d(second, network.blur, groups=5).abs()
    for maps, expected in zip(seen(network, layers, images), (first, second, third), strict=True):
        torch.testing.assert_close(maps, expected)


def test_names_are_those_of_the_weights_in_half_precision_too() -> None:
    network, images = Functions().eval(), torch.randn(2, 3, 12, 12)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        layers = Trace(network, images).choose("all")
    assert names(layers) == ["filters", "second", "conv2d"]


# --- axes ------------------------------------------------------------------------------------------------------------


class FunctionModule(nn.Module):
    """Returns what a function makes of its input."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) + 0


def moved(function: Callable[[Tensor], Tensor], channels: int = 6) -> nn.Module:
    """Return a network: a convolution `conv`, whose maps go through a function in `part`."""
    torch.manual_seed(0)
    parts = OrderedDict(conv=nn.Conv2d(3, channels, 4, 4), part=FunctionModule(function), flat=nn.Flatten())
    return nn.Sequential(parts).eval()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.permute(0, 2, 3, 1),
        lambda x: x.flatten(2).transpose(1, 2),
        lambda x: torch.cat([x.flatten(2).transpose(1, 2).mean(1, keepdim=True), x.flatten(2).transpose(1, 2)], 1),
        lambda x: x.transpose(2, 3),
        lambda x: x.roll((1, 2), (2, 3)),
        lambda x: x.movedim(1, -1),
    ],
)
@pytest.mark.parametrize("channels", [6, 4])  # 4: as many as rows and columns
def test_maps_are_those_of_the_convolution_wherever_its_channels_went(
    function: Callable[[Tensor], Tensor], channels: int
) -> None:
    network, images = moved(function, channels), torch.randn(3, 3, 16, 16)
    layers = Trace(network, torch.rand(2, 3, 16, 16)).choose("part")
    (maps,) = seen(network, layers, images)
    with torch.inference_mode():
        assert torch.equal(maps, network.conv(images))


UNTOLD: dict[str, Callable[[Tensor], Tensor]] = {
    "sorted": lambda x: x.flatten(2).sort(2).values,
    "mirrored": lambda x: x.flip(3),
    "indexed": lambda x: x.flatten(2)[:, :, torch.randperm(16)],
    "of frequencies": lambda x: torch.fft.rfft2(x).abs(),
    "two maps in one": lambda x: torch.cat([x.flatten(2), x.flatten(2) * 2], 2).transpose(1, 2),
    "stacked": lambda x: torch.stack([x.flatten(2), x.flatten(2) * 2], 1),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_an_ambiguous_layer_is_one_line_that_says_how_to_go_on(name: str) -> None:
    trace = Trace(moved(UNTOLD[name]), torch.rand(2, 3, 16, 16))
    with pytest.raises(UsageError, match=r"layer part gives \[N, .*write 'part\[channels=last\]', or the number"):
        trace.choose("part")
    assert names(trace.choose("all")) == ["conv"]


@pytest.mark.parametrize(
    ("request_", "function", "order"),
    [
        ("part[channels=1]", lambda x: x.flip(3), (0, 1, 2, 3)),
        ("part[channels=last]", lambda x: x.flip(3).permute(0, 2, 3, 1), (0, 3, 1, 2)),
        ("part[channels=-1]", lambda x: x.flip(3).permute(0, 2, 3, 1), (0, 3, 1, 2)),
        ("part[channels=2]", lambda x: x.flip(3).permute(0, 2, 1, 3), (0, 2, 1, 3)),
    ],
)
def test_the_user_says_where_channels_are(request_: str, function: Callable[[Tensor], Tensor], order: Any) -> None:
    network, images = moved(function), torch.randn(3, 3, 16, 16)
    layers = Trace(network, torch.rand(2, 3, 16, 16)).choose(request_)
    assert layers[0].units == 6
    (maps,) = seen(network, layers, images)
    with torch.inference_mode():
        assert torch.equal(maps, function(network.conv(images)).permute(order))


@pytest.mark.parametrize("axis", [0, 4, -5])
def test_channels_that_are_not_there_are_one_line(axis: int) -> None:
    trace = Trace(moved(lambda x: x + 1), torch.rand(2, 3, 16, 16))
    with pytest.raises(UsageError, match=rf"layer part gives \[N, 6, 4, 4\]: it has no channels at axis {axis}"):
        trace.choose(f"part[channels={axis}]")
    with pytest.raises(UsageError, match=r"no layer nothing: \[channels=…\] is for the path of a module"):
        trace.choose(f"nothing[channels={axis}]")


class DepthNetwork(nn.Module):
    """A 3-D convolution inside, over colours as depth; of one slice where `depth` is 3."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.deep, self.flat = nn.Conv3d(1, 4, (depth, 3, 3)), nn.Conv2d(4 * (4 - depth), 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.flat(functional.relu(self.deep(x[:, None])).flatten(1, 2))).mean((2, 3))


def test_a_convolution_with_a_depth_is_left_out_or_one_line() -> None:
    trace = Trace(DepthNetwork(2).eval(), torch.rand(2, 3, 16, 16))
    assert names(trace.choose("all")) == ["flat"]
    with pytest.raises(UsageError, match=r"layer deep gives \[N, 4, 2, 14, 14\]: maps have two axes"):
        trace.choose("deep")
    with pytest.raises(UsageError, match=r"layer deep gives \[N, 4, 2, 14, 14\]: it has no channels at axis 1"):
        trace.choose("deep[channels=1]")


def test_a_convolution_over_depth_that_leaves_one_slice_is_a_layer() -> None:
    network, images = DepthNetwork(3).eval(), torch.randn(2, 3, 16, 16)
    layers = Trace(network, images).choose("all")
    assert [(layer.name, layer.units, layer.height, layer.width) for layer in layers] == [
        ("deep", 4, 14, 14),
        ("flat", 5, 12, 12),
    ]
    with torch.inference_mode():
        torch.testing.assert_close(
            seen(network, layers, images)[0], functional.relu(network.deep(images[:, None]))[:, :, 0]
        )


def test_transposed_convolutions_and_those_of_single_images_are_layers() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.ConvTranspose2d(8, 6, 2, 2), nn.BatchNorm2d(6), nn.ReLU()
    )
    layers = Trace(network.eval(), torch.rand(1, 3, 16, 16)).choose("all")
    assert [(layer.name, layer.units, layer.height, layer.after) for layer in layers] == [
        ("0", 8, 4, ("relu",)),
        ("2", 6, 8, ("norm", "relu")),
    ]


def test_weights_of_each_image_give_that_images_maps() -> None:
    """As CondConv: one grouped convolution of all images, each with filters of its own."""

    class Conditional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.Parameter(torch.randn(2, 6 * 4 * 9))
            self.stem, self.after = nn.Conv2d(3, 4, 1), nn.Conv2d(6, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            weights = (torch.sigmoid(x.mean((2, 3)))[:, :2] @ self.experts).view(len(x) * 6, 4, 3, 3)
            maps = functional.conv2d(x.reshape(1, -1, *x.shape[2:]), weights, groups=len(x))
            maps = functional.relu(maps.view(len(x), 6, *maps.shape[2:]))
            return self.after(maps).mean((2, 3))

    network, images = Conditional().eval(), torch.randn(3, 3, 12, 12)
    layers = Trace(network, torch.rand(2, 3, 12, 12)).choose("all")
    assert [(layer.name, layer.units) for layer in layers] == [("stem", 4), ("conv2d", 6), ("after", 5)]
    maps = seen(network, layers, images)[1]
    alone = [seen(network, layers, image[None])[1] for image in images]
    torch.testing.assert_close(maps, torch.cat(alone))


@pytest.mark.parametrize("choice", ["paper", "all"])
@pytest.mark.parametrize("network", [nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(768, 10))])
def test_a_network_without_layers_is_one_line(network: nn.Module, choice: str) -> None:
    with pytest.raises(ShapebiasError, match="has no layer with activation maps"):
        Trace(network.eval(), torch.rand(2, 3, 16, 16)).choose(choice)


def test_a_linear_layer_by_name_has_a_unit_for_each_output() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 10))
    (layer,) = Trace(network.eval(), torch.rand(2, 3, 16, 16)).choose("1")
    assert (layer.units, layer.height, layer.width, layer.signed) == (10, 1, 1, True)
