"""One network in eight code styles: every number of a store, of all layers, is the same, and that of a naive loop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from shapebias.core.analysis.verify import VerifyReport
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.verify_units import verify_units
from tests.support.naive_ablation import CATEGORIES, decisions, decisions_lost, read_stimuli, write_stimuli
from tests.support.store_arrays import arrays_of

pytestmark = pytest.mark.slow

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
    head = nn.Linear(12, 10)  # decides for many classes
    nn.init.normal_(head.weight, 0, 3)
    return convolutions, norms, head


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


def module_style(): return of()
def functional_style(): return of(functional.relu)
def in_place_style(): return of(lambda x: functional.relu(x, inplace=True))
def keyword_style(): return of(lambda x: functional.relu(input=x))
def method_style(): return of(lambda x: x.relu_())
def sum_in_place_style(): return of(add=add_to_second)
def sum_style(): return of(add=lambda x, y: y + x)
def sequential_style():
    c, n, head = parts()
    block = Residual(c[1], n[1], nn.ReLU(inplace=True), c[2], n[2])
    network = nn.Sequential(c[0], n[0], nn.ReLU(inplace=True), block, c[3], nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    network.pretrained_cfg = Network.pretrained_cfg
    return network
'''


@pytest.fixture(scope="module")
def root(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: all styles in one store, with every pass that measures units, and what it was made of."""
    root = tmp_path_factory.mktemp("styles")
    (root / "nets.py").write_text(NETWORKS)
    (root / "categories.json").write_text(json.dumps(CATEGORIES))
    write_stimuli(root / "conflict", 32)
    make_store(
        root / "s.zarr",
        models=parse_specs([f"{style}={root}/nets.py:{style}_style" for style in STYLES]),
        layers="all",
        passes=("noise", "sensitivity", "dissection", "ablation"),
        cue_conflict=str(root / "conflict"),
        categories=root / "categories.json",
    )
    return root


@pytest.fixture(scope="module")
def store(root: Path) -> Path:
    return root / "s.zarr"


def arrays(store: Path, style: str) -> dict[str, tuple[object, ...]]:
    """Return all arrays of a model, with the number of a layer in the place of its name."""
    names = {name: str(number) for number, name in enumerate(open_store(store).layers(style))}
    by_path = {}
    for path, array in arrays_of(store).items():
        parts = path.split("/")
        if style in parts:
            by_path["/".join(names.get(part, part) for part in parts if part != style)] = array
    return by_path


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
    expected, changed = arrays(store, STYLES[0]), arrays(store, style)
    assert len(expected) > 12  # arrays of all layers
    assert changed.keys() == expected.keys()
    assert [path for path in expected if changed[path] != expected[path]] == []


# --- a naive loop ----------------------------------------------------------------------------------------------------


def scores_without(network: Any, images: Tensor, layer: str, unit: int) -> Tensor:
    """Return the scores of a network of the plain style, written again, with a layer's unit set to zero; with all for
    unit -1."""

    def silenced(name: str, maps: Tensor) -> Tensor:
        if name == layer and unit >= 0:
            maps = maps.clone()
            maps[:, unit] = 0
        return maps

    x = silenced("conv1", functional.relu(network.norm1(network.conv1(images))))
    y = silenced("conv2", functional.relu(network.norm2(network.conv2(x))))
    x = functional.relu(x + silenced("conv3", network.norm3(network.conv3(y))))
    scores: Tensor = network.head(silenced("conv4", network.conv4(x)).mean((2, 3)))
    return scores


@pytest.mark.parametrize("style", STYLES)
def test_ablation_scores_are_those_of_a_naive_loop(root: Path, style: str) -> None:
    space: dict[str, Any] = {}
    exec((root / "nets.py").read_text(), space)
    network = space["module_style"]().eval()
    images, shapes, textures = read_stimuli(root / "conflict", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    store: Store = open_store(root / "s.zarr")
    total = 0
    with torch.inference_mode():
        before = decisions(scores_without(network, images, "", -1))
        for (layer, facts), name in zip(store.layers(style).items(), ("conv1", "conv2", "conv3", "conv4"), strict=True):
            after = [decisions(scores_without(network, images, name, unit)) for unit in range(facts.units)]
            for cue, labels in (("shape", shapes), ("texture", textures)):
                lost = [decisions_lost(before, decided, labels) for decided in after]
                assert store.metric(style, layer, f"{cue}_score").tolist() == lost
                total += sum(lost)
    assert total > 20


def test_verify_computes_the_same_units_again(store: Path) -> None:
    report = VerifyReport()
    verify_units(store, 100, report, Silent(), images=None, models=[], device="cpu", workers=0)
    assert report.units == len(STYLES) * 36
    assert report.wrong == []
