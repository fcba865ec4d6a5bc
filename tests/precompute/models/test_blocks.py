"""The default layers of networks that are none of the studies': what counts as a block."""

import torch
from torch import Tensor, nn

from shapebias.precompute.models.layers import Trace


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads by a module of its own, as the ports of TensorFlow's networks do."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2)
        self.padding_module = nn.ZeroPad2d((0, 1, 0, 1))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.padding_module(images))


def test_a_convolution_with_a_padding_module_is_watched_after_its_nonlinearity() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm, self.act = PaddedConvolution(3, 8), nn.BatchNorm2d(8), nn.ReLU6()
            self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)) for _ in range(3))
            self.head, self.classifier = PaddedConvolution(8, 12), nn.Linear(12, 5)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.act(self.norm(self.stem(images)))
            for block in self.blocks:
                maps = block(maps)
            scores: Tensor = self.classifier(self.act(self.head(maps)).mean((2, 3)))
            return scores

    layers = Trace(Network().eval(), torch.rand(2, 3, 64, 64)).choose("paper")
    assert [layer.name for layer in layers] == ["stem", "blocks.0", "blocks.1", "blocks.2", "head"]
    assert [layer.after for layer in layers] == [("norm", "relu6"), *[("norm",)] * 3, ("relu6",)]


def test_a_convolution_that_gives_the_class_scores_is_no_default_layer() -> None:
    """As in SqueezeNet: the last convolution's maps, pooled, are the scores."""
    blocks = [nn.Sequential(nn.Conv2d(8 if number else 3, 8, 3, padding=1), nn.ReLU()) for number in range(4)]
    head = nn.Sequential(nn.Dropout(), nn.Conv2d(8, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    trace = Trace(nn.Sequential(*blocks, head, nn.Flatten()).eval(), torch.rand(2, 3, 16, 16))
    assert [layer.name for layer in trace.choose("paper")] == ["0", "1", "2", "3"]
    assert [layer.name for layer in trace.choose("all")] == ["0.0", "1.0", "2.0", "3.0", "4.1"]


def test_where_all_that_a_network_has_are_its_scores_those_are_watched() -> None:
    network = nn.Sequential(nn.Conv2d(3, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert [layer.name for layer in Trace(network.eval(), torch.rand(2, 3, 16, 16)).choose("paper")] == ["0"]


def test_a_stage_that_ends_with_a_convolution_is_watched_after_its_nonlinearity() -> None:
    """As the deep stems of ResNet-D: three convolutions in one module, the norm and the nonlinearity beside it."""
    stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3))
    stages = [nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Tanh()) for _ in range(3)]
    network = nn.Sequential(stem, nn.BatchNorm2d(8), nn.ReLU(), *stages, nn.Flatten(), nn.LazyLinear(5))
    images = torch.rand(2, 3, 24, 24)
    network(images)
    layers = Trace(network.eval(), images).choose("paper")
    assert [(layer.name, layer.after) for layer in layers] == [
        ("0", ("norm", "relu")),
        *[(str(number), ("tanh",)) for number in (3, 4, 5)],
    ]


class Attention(nn.Module):
    """One head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.proj(torch.softmax(q @ k.transpose(1, 2), -1) @ v)


class TransformerBlock(nn.Module):
    """A transformer block on tokens [N, tokens, C]; with `filters`, a depthwise convolution between its two layers."""

    def __init__(self, width: int, filters: bool = False) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.filters = nn.Conv2d(2 * width, 2 * width, 3, 1, 1, groups=2 * width) if filters else None

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        hidden = self.fc1(x)
        if self.filters is not None:
            hidden = self.filters(hidden.transpose(1, 2).unflatten(2, (8, 8))).flatten(2).transpose(1, 2)
        return x + self.fc2(nn.functional.gelu(hidden) * 0.5)


class Hybrid(nn.Module):
    """Convolutions, then a transformer, then a class token's own block."""

    def __init__(self, filters: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.blocks = nn.ModuleList(TransformerBlock(12, filters) for _ in range(3))
        self.last, self.head = TransformerBlock(12), nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.head(self.last(x.mean(1, keepdim=True))[:, 0])
        return scores


def test_a_transformers_default_layers_are_its_hidden_neurons_and_the_convolutions_before_them() -> None:
    layers = Trace(Hybrid().eval(), torch.rand(2, 3, 32, 32)).choose("paper")
    assert [(layer.name, layer.units, layer.height, layer.width, layer.after) for layer in layers] == [
        ("stem", 12, 8, 8, ("relu",)),
        *[(f"blocks.{number}.fc1", 24, 8, 8, ("gelu",)) for number in range(3)],
    ]


def test_neurons_behind_a_depthwise_convolution_are_found() -> None:
    layers = Trace(Hybrid(filters=True).eval(), torch.rand(2, 3, 32, 32)).choose("paper")
    assert [layer.name for layer in layers] == ["stem", *[f"blocks.{number}.filters" for number in range(3)]]
    assert {layer.after for layer in layers[1:]} == {("gelu",)}


def test_a_bottleneck_around_attention_holds_no_hidden_neurons() -> None:
    """As BoTNet: a residual block whose middle convolution is attention."""

    class Bottleneck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow, self.attention, self.wide = nn.Conv2d(12, 4, 1), Attention(4), nn.Conv2d(4, 12, 1)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.attention(torch.relu(self.narrow(x)).flatten(2).transpose(1, 2))
            return torch.relu(x + self.wide(tokens.transpose(1, 2).unflatten(2, x.shape[2:])))

    stages = [nn.Sequential(Bottleneck(), Bottleneck()) for _ in range(3)]
    network = nn.Sequential(nn.Conv2d(3, 12, 4, 4), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    layers = Trace(network.eval(), torch.rand(2, 3, 32, 32)).choose("paper")
    assert [layer.name for layer in layers] == ["0", "1", "2", "3"]
    assert [layer.after for layer in layers] == [(), *[("sum", "relu")] * 3]
