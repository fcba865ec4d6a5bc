"""Networks in wrappers: compiled, parallel, lazy, half precision, scripted, quantised."""

import io

import pytest
import torch
import torchvision
from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.unwrapping import initialize, takes_videos, unwrap, use_float32


class WrappedNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.relu, self.conv2 = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 12, 3, 2)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.relu(self.conv2(self.relu(self.conv1(x)))).mean((2, 3)))
        return scores


def with_compiled_part() -> nn.Module:
    network = WrappedNetwork()
    network.conv2 = torch.compile(network.conv2)
    return network


def compiled_in_place() -> nn.Module:
    network = WrappedNetwork()
    network.conv1.compile()
    network.compile()
    return network


WRAPPERS = {
    "compiled": lambda: torch.compile(WrappedNetwork()),
    "compiled part": with_compiled_part,
    "compiled in place": compiled_in_place,
    "parallel": lambda: nn.DataParallel(WrappedNetwork()),
    "compiled and parallel": lambda: nn.DataParallel(torch.compile(WrappedNetwork())),
    "parallel and compiled": lambda: torch.compile(nn.DataParallel(WrappedNetwork())),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapped_network_has_the_layers_of_the_plain_one(name: str) -> None:
    images = torch.rand(2, 3, 32, 32)
    plain, network = WrappedNetwork().eval(), unwrap(WRAPPERS[name](), "net.py:build").eval()
    assert list(network.state_dict()) == list(plain.state_dict())
    layers = Trace(network, images).choose("all")
    assert layers == Trace(plain, images).choose("all")
    assert [layer.after for layer in layers] == [("relu",), ("relu",)]
    with torch.inference_mode():
        assert torch.equal(network(images), plain(images))


def test_a_compiled_function_in_a_forward_is_followed() -> None:
    class WithFunction(WrappedNetwork):
        def __init__(self) -> None:
            super().__init__()
            del self.relu
            self.relu = torch.compile(torch.tanh, backend="eager")

    layers = Trace(WithFunction().eval(), torch.rand(2, 3, 32, 32)).choose("all")
    assert [layer.after for layer in layers] == [("tanh",), ("tanh",)]


def traced() -> nn.Module:
    return torch.jit.trace(WrappedNetwork().eval(), torch.rand(1, 3, 32, 32))


def loaded() -> nn.Module:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(WrappedNetwork()), file)
    file.seek(0)
    return torch.jit.load(file)


def with_scripted_part() -> nn.Module:
    network = WrappedNetwork()
    network.relu = torch.jit.script(network.relu)
    return network


@pytest.mark.parametrize(
    ("build", "where"),
    [(lambda: torch.jit.script(WrappedNetwork()), ""), (traced, ""), (loaded, ""), (with_scripted_part, " at relu")],
)
def test_scripted_networks_are_one_line_that_says_what_to_name(build: object, where: str) -> None:
    with pytest.raises(UsageError) as error:
        unwrap(build(), "net.py:build")  # type: ignore[operator]  # each is a function
    assert str(error.value).startswith(f"net.py:build is scripted or traced (torch.jit{where})")
    assert "name the function that returns the network before torch.jit" in str(error.value)


def test_quantised_networks_are_one_line_that_says_what_to_name() -> None:
    network = torch.ao.quantization.quantize_dynamic(WrappedNetwork().eval(), {nn.Linear})
    with pytest.raises(UsageError, match=r"net.py:build is quantised \(Linear at head\).* before it is quantised"):
        unwrap(network, "net.py:build")


def test_float_networks_that_can_be_quantised_are_taken() -> None:
    network = torchvision.models.quantization.shufflenet_v2_x0_5(weights=None, quantize=False).eval()
    assert unwrap(network, "net") is network


def test_a_wrapper_with_two_names_is_removed_from_both() -> None:
    network, convolution = WrappedNetwork(), nn.Conv2d(8, 8, 3)
    network.first = network.second = torch.compile(convolution)
    unwrap(network, "net")
    assert network.first is convolution
    assert network.second is convolution


def test_lazy_modules_get_their_weights() -> None:
    network = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    initialize(network, 16)
    assert network[3].weight.shape == (5, 8 * 14 * 14)
    (layer,) = Trace(network.eval(), torch.rand(2, 3, 16, 16)).choose("all")
    assert (layer.name, layer.units, layer.after) == ("0", 8, ("relu",))


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "float16"), (torch.bfloat16, "bfloat16")])
def test_half_precision_runs_as_float32_and_is_said(dtype: torch.dtype, name: str) -> None:
    network = WrappedNetwork().to(dtype)
    (note,) = use_float32(network)
    assert note.startswith(f"its weights are {name}: they run as float32")
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert use_float32(network) == []


def test_video_networks_are_known_by_their_first_convolution() -> None:
    assert takes_videos(nn.Sequential(nn.Conv3d(3, 4, 3), nn.Conv2d(4, 4, 3)))
    assert not takes_videos(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(4, 4, 3)))
    assert not takes_videos(nn.Flatten())
