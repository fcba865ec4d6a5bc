"""`shapebias.measure`: the numbers of a store's activation pass, from any batches, in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import shapebias
from shapebias.precompute.device import CPU
from shapebias.precompute.inputs import list_images
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.settings import Settings
from tests.support.pretended_cuda import CUDA, pretended_cuda

SAME = (  # not coherence and the classes of tied images: what is drawn and what is tied goes by paths in a store
    *("smoothness", "selectivity", "selectivity_mean", "sparsity", "max", "tied", "mean", "std", "q995", "tv"),
    "filter_smoothness",
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)
    )


def images(count: int = 30) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
def test_the_numbers_are_those_of_a_store(network_file: Path, image_folder: Path, small_store: Path) -> None:
    model = load_model(parse_spec(f"Tiny={network_file}:build"))
    settings = Settings(models=[], images=str(image_folder), store=Path("none"))
    listing = list_images(settings)[0]
    decode = listing.decoder(model.preprocessing.geometry)
    pixels = np.stack([decode(listing.address(index)) for index in range(len(listing))])
    data = TensorDataset(CPU.images(pixels, model.preprocessing), torch.from_numpy(listing.labels).long())
    measured = shapebias.measure(model.network, DataLoader(data, 16), layers="block*", top=6)
    store = shapebias.open(small_store)
    units, known = measured.units(), store.units()
    assert measured.layers == store.layers("Tiny")
    np.testing.assert_array_equal(units["unit"], known["unit"])
    for name in SAME:
        np.testing.assert_allclose(units[name], known[name], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(units["coherence"], known["coherence"], atol=0.05)
    paths = [path.decode() for path in listing.paths]
    top = measured.top_images("block2", 3)
    stored = store.unit("Tiny/block2/3").top_images
    for number, name in zip(top["image"], stored["image"], strict=True):
        assert paths[number] == name or "image4" in paths[number] + name  # which are all the same picture
    np.testing.assert_array_equal(top["value"], stored["value"].astype(np.float32))
    np.testing.assert_array_equal((top["y"], top["x"]), (stored["y"], stored["x"]))


def test_every_number_is_right_and_the_network_stays_as_it_was() -> None:
    net = network()
    net(images(2))  # gives the lazy layer its weights
    net.train()
    measured = shapebias.measure(net, [images()[:10], images()[10:20], images()[20:]], layers=["1", "3"])
    with torch.no_grad():
        maps = net[:2](images()).double().numpy()
    units = measured.units("layer = 1")
    np.testing.assert_allclose(units["max"], maps.max((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(units["mean"], maps.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(units["sparsity"], (maps <= 0).mean((0, 2, 3)), rtol=1e-6)
    assert "selectivity" not in units.columns
    assert measured.top_images("1", 2)["image"][0] == maps[:, 2].max((1, 2)).argmax()
    assert len(measured.units(sort="max")) == 13
    assert net.training
    assert not net[1]._forward_hooks
    assert measured.images == 30


@pytest.mark.parametrize("batches", ["tensors", "arrays", "pairs", "lists", "generator"])
def test_any_batches(batches: str) -> None:
    data, labels = images(), torch.arange(30) % 4
    given: dict[str, Any] = {
        "tensors": [data[:20], data[20:]],
        "arrays": [data[:20].numpy(), data[20:].numpy()],
        "pairs": [(data[:20], labels[:20]), (data[20:], labels[20:])],
        "lists": [[data[:20]], [data[20:]]],
        "generator": iter([data[:20], data[20:]]),
    }
    measured = shapebias.measure(network(), given[batches], layers="1", images=40)
    known = shapebias.measure(network(), [data[:20], data[20:]], layers="1", images=40)
    np.testing.assert_array_equal(measured.units()["smoothness"], known.units()["smoothness"])
    assert ("selectivity" in measured.units().columns) == (batches == "pairs")


def test_a_network_on_cuda_stays_there() -> None:
    net = network()
    net(images(2))
    known = shapebias.measure(net, [images()], layers=["1", "3"])
    with pretended_cuda():
        net = net.to(CUDA)
        measured = shapebias.measure(net, [images()], layers=["1", "3"], precision="highest")
        assert all(parameter.device == CUDA for parameter in net.parameters())
    np.testing.assert_allclose(measured.units()["max"], known.units()["max"], rtol=1e-5)
    np.testing.assert_allclose(measured.units()["q995"], known.units()["q995"], rtol=1e-5)


def endless() -> Iterator[Tensor]:
    yield from (images(10) for _ in range(4))


@pytest.mark.parametrize(
    ("loader", "options", "line"),
    [
        ([], {}, "the loader gives no batch"),
        (endless(), {}, "the loader has no length: say how many images come at most with images="),
        (endless(), {"images": 20}, "the loader gives more than 20 images: say how many with images="),
        (["text"], {}, "the loader gives str: give batches [B, 3, H, W]"),
        ([torch.rand(3, 16, 16)], {}, "the loader gives (3, 16, 16): give batches"),
        ([images()], {"layers": ["9"]}, "no layer 9: there are"),
        ([(images(), torch.full((30,), 4))], {}, "a label is 4, of 4 classes: say how many with classes="),
    ],
)
def test_mistakes_are_one_line(loader: Any, options: dict[str, Any], line: str) -> None:
    with pytest.raises(shapebias.errors.UsageError) as caught:
        shapebias.measure(network(), loader, **options)
    assert str(caught.value).startswith(line)


def test_a_network_that_fails_says_so_in_one_line() -> None:
    with pytest.raises(
        shapebias.errors.ShapebiasError, match=r"Sequential \(a Sequential in memory\) fails on 16 x 16"
    ):
        shapebias.measure(nn.Sequential(nn.Conv2d(4, 2, 3)), [images()])
    measured = shapebias.measure(network(), [images()], layers="1")
    with pytest.raises(shapebias.errors.UsageError, match="no layer 2: there are 1"):
        measured.top_images("2", 0)
    with pytest.raises(shapebias.errors.UsageError, match="1 has units 0 to 7, not 8"):
        measured.top_images("1", 8)
