"""One network in eight code styles: every number of a store, of all layers, is the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_specs
from tests.support.store_arrays import arrays_of

STYLES = ("module", "functional", "in_place", "keyword", "method", "sequential", "sum_in_place", "sum")
NETWORKS = '''
"""stem (conv, norm, relu), a residual block of two convolutions, a convolution without a nonlinearity, a classifier."""

import torch
from torch import nn
from torch.nn import functional


def parts():
    torch.manual_seed(0)
    sizes = [(3, 8, 3, 2, 1), (8, 8, 3, 1, 1), (8, 8, 3, 1, 1), (8, 12, 3, 2, 1)]
    convolutions = [nn.Conv2d(*size) for size in sizes]
    norms = [nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.BatchNorm2d(8)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.2, 1.0)
    return convolutions, norms, nn.Linear(12, 10)


class Network(nn.Module):
    pretrained_cfg = {"input_size": (3, 32, 32), "crop_pct": 1.0, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}

    def __init__(self):
        super().__init__()
        (self.conv1, self.conv2, self.conv3, self.conv4), (self.norm1, self.norm2, self.norm3), self.head = parts()
        self.act = nn.ReLU()

    def relu(self, x):
        return self.act(x)

    def add(self, x, y):
        return x + y

    def forward(self, x):
        x = self.relu(self.norm1(self.conv1(x)))
        y = self.norm3(self.conv3(self.relu(self.norm2(self.conv2(x)))))
        x = self.relu(self.add(x, y))
        return self.head(self.conv4(x).mean((2, 3)))


def of(relu=None, add=None):
    network = Network()
    network.relu = relu or network.relu
    network.add = add or network.add
    return network


def add_to_second(x, y):
    y += x
    return y


class Residual(nn.Sequential):
    def forward(self, x):
        return functional.relu(x + super().forward(x))


def module(): return of()
def functional_style(): return of(functional.relu)
def in_place(): return of(lambda x: functional.relu(x, inplace=True))
def keyword(): return of(lambda x: functional.relu(input=x))
def method(): return of(lambda x: x.relu_())
def sum_in_place(): return of(add=add_to_second)
def sum(): return of(add=lambda x, y: y + x)
def sequential():
    c, n, head = parts()
    block = Residual(c[1], n[1], nn.ReLU(inplace=True), c[2], n[2])
    network = nn.Sequential(c[0], n[0], nn.ReLU(inplace=True), block, c[3], nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    network.pretrained_cfg = Network.pretrained_cfg
    return network
'''


@pytest.fixture(scope="module")
def store(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All styles in one store, with every pass that measures units."""
    root = tmp_path_factory.mktemp("styles")
    (root / "nets.py").write_text(NETWORKS.replace("functional_style", "functional_"))
    functions = [f"{style}_" if style == "functional" else style for style in STYLES]
    models = [f"{style}={root}/nets.py:{name}" for style, name in zip(STYLES, functions, strict=True)]
    passes = ("noise", "sensitivity", "dissection")
    return make_store(root / "s.zarr", models=parse_specs(models), layers="all", passes=passes)


def arrays(store: Path, style: str) -> dict[str, tuple[object, ...]]:
    """Return all arrays of a model, with the number of a layer in the place of its name."""
    names = {name: str(number) for number, name in enumerate(open_store(store).layers(style))}
    found = {}
    for path, array in arrays_of(store).items():
        parts = path.split("/")
        if style in parts:
            found["/".join(names.get(part, part) for part in parts if part != style)] = array
    return found


@pytest.mark.parametrize("style", STYLES)
def test_layers_are_the_same_tensors(store: Path, style: str) -> None:
    layers = open_store(store).layers(style).values()
    assert [layer.ending for layer in layers] == [
        "after norm, relu",
        "after norm, relu",
        "after norm, signed",
        "signed",
    ]
    assert [(layer.units, layer.map_height) for layer in layers] == [(8, 16), (8, 16), (8, 16), (12, 8)]


@pytest.mark.parametrize("style", STYLES[1:])
def test_every_number_is_the_same(store: Path, style: str) -> None:
    expected, found = arrays(store, STYLES[0]), arrays(store, style)
    assert len(expected) > 40
    assert found.keys() == expected.keys()
    assert [path for path in expected if found[path] != expected[path]] == []
