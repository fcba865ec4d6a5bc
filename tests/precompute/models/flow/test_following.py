"""The end of a convolution's activation: the operations that each layer went through, and its values."""

from collections.abc import Callable

import pytest
import torch
import torchvision
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.models.layers import Trace

Function = Callable[[Tensor], Tensor]


class FunctionBehindConvolution(nn.Module):
    """One convolution, and a function behind it; `parts` are modules that the function uses."""

    def __init__(self, behind: Callable[["FunctionBehindConvolution", Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)
        for name, part in parts.items():
            self.add_module(name, part)
        self.behind = behind

    def forward(self, x: Tensor) -> Tensor:
        self.image = x
        maps = self.behind(self, self.conv(x))
        return self.head(maps.mean((2, 3))) if maps.shape[1] == 8 else maps.mean((2, 3))


def the_layer(network: nn.Module, name: str = "conv") -> tuple[WatchedLayer, Tensor, Tensor]:
    """Return the layer of that name, its maps, and the convolution's own output, for one batch."""
    network.eval()
    images = torch.randn(2, 3, 12, 12)
    (layer,) = [layer for layer in Trace(network, images).choose("all") if layer.name == name]
    maps: list[Tensor] = []
    outputs: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda *seen: outputs.append(seen[2].clone()))
    with torch.inference_mode(), Watch(network, [layer], lambda _, output: maps.append(output.clone())):
        network(images)
    handle.remove()
    (layer_map,), (output,) = maps, outputs
    assert layer_map.shape == (2, layer.units, layer.height, layer.width)
    return layer, layer_map, output


def silu_by_hand(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class Swish(torch.autograd.Function):
    """As many EfficientNets write it, to save memory."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # type: ignore[override]  # torch's takes anything
        return x * torch.sigmoid(x)


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    return torch.relu(x * 2.0 + 1.0)


def gelu_by_hand(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3)))


def layer_norm_by_hand(x: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)


def masked(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.zeros_like(x))


# what a function behind a convolution is called, and whether the layer is signed behind it
FUNCTIONS: list[tuple[Function, tuple[str, ...], bool]] = [
    (functional.relu, ("relu",), False),
    (functional.relu_, ("relu",), False),
    (lambda x: functional.relu(input=x, inplace=True), ("relu",), False),
    (lambda x: x.relu_(), ("relu",), False),
    (lambda x: x.clamp(min=0), ("relu",), False),
    (lambda x: x.clamp_(0), ("relu",), False),
    (lambda x: x.clamp(0, 6), ("relu6",), False),
    (functional.relu6, ("relu6",), False),
    (lambda x: torch.maximum(x, torch.zeros(1)), ("clamp",), False),
    (lambda x: torch.max(x, torch.zeros(1)), ("clamp",), False),
    (masked, ("product",), False),
    (lambda x: x * (x > 0), ("product",), False),
    (functional.silu, ("silu",), False),
    (silu_by_hand, ("product with sigmoid",), False),
    (Swish.apply, ("product with sigmoid",), False),
    (gelu_by_hand, ("product with power+tanh",), False),
    (functional.mish, ("mish",), False),
    (lambda x: x * torch.tanh(functional.softplus(x)), ("product with softplus+tanh",), False),
    (lambda x: x * functional.relu6(x + 3) / 6, ("product with relu6",), False),
    (scripted, ("relu",), False),
    (lambda x: x**2, ("power",), False),
    (lambda x: x * x, ("square",), False),
    (layer_norm_by_hand, ("norm",), True),
    (functional.normalize, ("norm",), True),
    (lambda x: functional.local_response_norm(x, 3), ("norm",), True),
    (lambda x: functional.instance_norm(x), ("norm",), True),
    (lambda x: functional.relu(layer_norm_by_hand(x)), ("norm", "relu"), False),
    (lambda x: functional.local_response_norm(functional.relu(x), 3), ("relu", "norm"), True),
    (lambda x: functional.relu(x.data), ("relu",), False),
    (lambda x: functional.relu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), ("relu",), False),
    (lambda x: functional.dropout(functional.relu(x), 0.5, training=False), ("relu",), False),
    (lambda x: functional.relu(x.flatten(2)).unflatten(2, (12, 12)), ("relu",), False),
    (lambda x: functional.relu(x * 0.3 + 1), ("relu",), False),
]


@pytest.mark.parametrize(("function", "after", "signed"), FUNCTIONS)
def test_a_function_directly_behind_a_convolution_belongs_to_its_layer(
    function: Function, after: tuple[str, ...], signed: bool
) -> None:
    layer, maps, output = the_layer(FunctionBehindConvolution(lambda _, x: function(x)))
    assert (layer.after, layer.signed) == (after, signed)
    with torch.inference_mode():
        torch.testing.assert_close(maps, function(output))


MODULES: list[tuple[nn.Module, tuple[str, ...], bool]] = [
    (nn.ReLU(inplace=True), ("relu",), False),
    (nn.Hardswish(inplace=True), ("hardswish",), False),
    (nn.PReLU(8), ("prelu",), False),
    (nn.BatchNorm2d(8), ("norm",), True),
    (nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(inplace=True)), ("norm", "relu"), False),
    (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(8)), ("relu", "norm"), True),
    (torchvision.ops.FrozenBatchNorm2d(8), ("norm",), True),
    (nn.LocalResponseNorm(3), ("norm",), True),
    (nn.GroupNorm(2, 8), ("norm",), True),
    (BatchNormAct2d(8), ("norm", "relu"), False),
    (nn.Sequential(nn.Dropout2d(0.5), nn.Identity(), nn.Tanh()), ("tanh",), False),
]


@pytest.mark.parametrize(("module", "after", "signed"), MODULES)
def test_a_module_directly_behind_a_convolution_belongs_to_its_layer(
    module: nn.Module, after: tuple[str, ...], signed: bool
) -> None:
    for buffer in (*module.parameters(), *module.buffers()):
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5, 1.5)
    layer, maps, output = the_layer(
        FunctionBehindConvolution(lambda network, x: network.get_submodule("part")(x), part=module)
    )
    assert (layer.after, layer.signed) == (after, signed)
    with torch.inference_mode():
        torch.testing.assert_close(maps, module(output.clone()))


def plus(x: Tensor, y: Tensor) -> Tensor:
    y += x
    return y


# where the layer is the convolution's own output
ENDS: dict[str, Callable[[FunctionBehindConvolution, Tensor], Tensor]] = {
    "nothing": lambda _, x: x,
    "join": lambda network, x: functional.relu(x + network.side(network.image)),
    "scaled residual": lambda network, x: functional.relu(x * 0.1 + network.side(network.image)),
    "fork to two functions": lambda _, x: functional.relu(x) + functional.relu(-x) * 2 + x.mean(),
    "crelu": lambda _, x: torch.cat([functional.relu(x), functional.relu(-x)], 1),
    "maxout": lambda _, x: x.unflatten(1, (4, 2)).amax(2),
    "pooled first": lambda _, x: functional.relu(functional.max_pool2d(x, 2)),
    "average of the same size": lambda _, x: functional.relu(functional.avg_pool2d(x, 3, 1, 1)),
    "gate of another layer": lambda network, x: x * torch.sigmoid(network.gate(x)),
    "squeeze and excitation": lambda network, x: x * torch.sigmoid(network.gate(x.mean((2, 3), keepdim=True))),
    "gate of its mean": lambda _, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "softmax": lambda _, x: x.softmax(1),
    "gated linear unit": lambda _, x: functional.glu(torch.cat([x, x], 1), 1),
    "scale": lambda _, x: x * 0.1,
}


def test_a_scale_behind_an_activation_is_no_part_of_the_layer() -> None:
    layer, maps, output = the_layer(FunctionBehindConvolution(lambda _, x: functional.relu(x) * 1.7))
    assert layer.after == ("relu",)
    torch.testing.assert_close(maps, functional.relu(output))


@pytest.mark.parametrize("name", ENDS)
def test_a_convolution_ends_where_something_else_begins(name: str) -> None:
    layer, maps, output = the_layer(
        FunctionBehindConvolution(ENDS[name], side=nn.Conv2d(3, 8, 1), gate=nn.Conv2d(8, 8, 1))
    )
    assert (layer.after, layer.signed) == ((), True)
    assert torch.equal(maps, output)


class SumNetwork(nn.Module):
    """relu(x + norm(conv2(relu(conv1(x))))), with the sum written in some way."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1, self.conv2, self.norm = nn.Conv2d(3, 3, 3, 1, 1), nn.Conv2d(3, 3, 3, 1, 1), nn.BatchNorm2d(3)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv2(functional.relu(self.conv1(x))))
        return functional.relu(self.add(x, y)).mean((2, 3))


@pytest.mark.parametrize(
    "add",
    [plus, lambda x, y: x + y, lambda x, y: y + x, lambda x, y: y.add_(x), lambda x, y: torch.add(input=y, other=x)],
)
def test_a_sum_is_no_convolution_however_it_is_written(add: Callable[[Tensor, Tensor], Tensor]) -> None:
    network = SumNetwork(add)
    layer, maps, output = the_layer(network, "conv2")
    assert (layer.after, layer.signed) == (("norm",), True)
    with torch.inference_mode():
        torch.testing.assert_close(maps, network.norm(output))
    first, maps, output = the_layer(network, "conv1")
    assert first.after == ("relu",)
    torch.testing.assert_close(maps, functional.relu(output))


def test_norms_named_as_such_belong_to_a_convolution_whatever_they_compute() -> None:
    class MyNorm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            ranks = x.sort(1).values
            return x - ranks[:, :1]

    network = FunctionBehindConvolution(
        lambda network, x: functional.relu(network.get_submodule("part")(x)), part=MyNorm()
    )
    layer, maps, output = the_layer(network)
    assert layer.after == ("norm", "relu")
    torch.testing.assert_close(maps, functional.relu(MyNorm()(output)))


def test_a_block_says_what_its_output_went_through() -> None:
    blocks = nn.Sequential(*(ReluBlock() for _ in range(5)))
    layers = Trace(nn.Sequential(nn.Conv2d(3, 4, 1), blocks).eval(), torch.rand(2, 3, 8, 8)).choose("1.0,1.4")
    assert [(layer.name, layer.after, layer.signed) for layer in layers] == [
        ("1.0", ("sum", "relu"), False),
        ("1.4", ("sum", "relu"), False),
    ]


class ReluBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.conv(x))


@pytest.mark.parametrize(
    ("function", "signed"),
    [
        (functional.silu, False),
        (silu_by_hand, False),
        (layer_norm_by_hand, True),
        (lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)), True),
        (lambda x: functional.relu(x) * torch.sigmoid(x.mean(1, keepdim=True)), False),
        (lambda x: functional.max_pool2d(functional.relu(x), 2), False),
        (lambda x: torch.cat([functional.relu(x), x], 1), True),
    ],
)
def test_a_module_is_signed_where_no_nonlinearity_is_on_a_path(function: Function, signed: bool) -> None:
    class Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return function(self.conv(x))

    network = nn.Sequential(Stage(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    (layer,) = Trace(network.eval(), torch.randn(2, 3, 8, 8)).choose("0")
    assert layer.signed is signed
