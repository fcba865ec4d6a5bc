"""The activation pass against a plain loop with hooks, in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapebias.precompute.device import choose_device
from shapebias.precompute.measures.activation import ActivationPass, StatisticsPlan
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.models.layers import Trace

LAYERS = ["block1", "block2", "block3"]


@pytest.fixture(scope="module")
def network(network_file: Path) -> nn.Module:
    space: dict = {}
    exec(network_file.read_text(), space)
    network: nn.Module = space["build"]().eval()
    return network


def plain(network: nn.Module, images: Tensor) -> dict[str, np.ndarray]:
    """The layers' outputs, [N, C, h, w]."""
    outputs: dict[str, np.ndarray] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: outputs.update({name: output.numpy().copy()})
        )
        for name in LAYERS
    ]
    with torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    return outputs


def check(metrics: dict[str, np.ndarray], maps: np.ndarray, labels: np.ndarray) -> None:
    exact = maps.astype(np.float64)
    flat = exact.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
    scale = np.abs(flat).max(1)
    np.testing.assert_allclose(metrics["max"], flat.max(1), rtol=1e-4, atol=1e-5)
    assert (np.abs(metrics["mean"] - flat.mean(1)) <= 1e-4 * np.abs(flat.mean(1)) + 1e-5 * scale).all()
    np.testing.assert_allclose(metrics["std"], flat.std(1), rtol=1e-4)
    np.testing.assert_allclose(metrics["sparsity"], (flat <= 0).mean(1), atol=2 / flat.shape[1])
    above = int(0.005 * flat.shape[1] + 1e-9)
    np.testing.assert_allclose(metrics["q995"], -np.sort(-flat, axis=1)[:, above], rtol=1e-4, atol=1e-5)
    for name, activation in (("selectivity", exact.max((2, 3))), ("selectivity_mean", exact.mean((2, 3)))):
        means = np.array([activation[labels == label].mean(0) for label in np.unique(labels[labels >= 0])])
        others = (means.sum(0) - means.max(0)) / (len(means) - 1)
        both = means.max(0) + others
        selectivity = np.divide(means.max(0) - others, both, out=np.zeros_like(both), where=both != 0)
        if (exact < 0).any():  # the layer is signed
            selectivity[:] = np.nan
        np.testing.assert_allclose(metrics[name], selectivity, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_the_pass_equals_a_plain_loop(network: nn.Module, batch: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(40, 3, 32, 32)
    labels = np.arange(40) % 4 - 1
    layers = Trace(network, images[:2]).choose("block1,block2,block3")
    run = ActivationPass(network, layers, choose_device("cpu", "auto"), StatisticsPlan(5, 40, 3))
    maxima, means, outputs = [], [], []
    for start in range(0, 40, batch):
        places = np.arange(start, min(start + batch, 40))
        seen = run.run(images[places], places, labels[places])
        maxima.append(seen.maximum)
        means.append(seen.mean)
        outputs.append(seen.output)
    expected = plain(network, images)
    with torch.inference_mode():
        torch.testing.assert_close(torch.cat(outputs), network(images), rtol=1e-4, atol=1e-5)
    for index, name in enumerate(LAYERS):
        maps = expected[name]
        check(run.statistics[index].result().metrics, maps, labels)
        for rows, exact in ((maxima, maps.max((2, 3))), (means, maps.astype(np.float64).mean((2, 3)))):
            got = np.concatenate([columns[index] for columns in rows])
            assert got.dtype == np.float16
            np.testing.assert_allclose(got, exact, rtol=1e-3, atol=1e-5)
        top = run.statistics[index].result().top
        order = np.argsort(-maps.max((2, 3)), axis=0, kind="stable")[:5].T
        np.testing.assert_array_equal(top.image, order)


def test_two_passes_merged_are_one(network: nn.Module) -> None:
    torch.manual_seed(1)
    images, labels = torch.randn(20, 3, 32, 32), np.arange(20) % 2
    layers = Trace(network, images[:2]).choose("block2")
    device = choose_device("cpu", "auto")
    passes = []
    for start, stop in ((0, 20), (0, 9), (9, 20)):
        run = ActivationPass(network, layers, device, StatisticsPlan(4, 20, 2))
        for image in range(start, stop):
            positions = np.array([image])
            run.run(images[positions], positions, labels[positions])
        passes.append(run.statistics[0])
    whole, merged, second = passes
    merged.merge(second)
    for name, values in whole.result().metrics.items():
        np.testing.assert_allclose(merged.result().metrics[name], values, rtol=1e-6)
    for field in ("value", "image", "position", "map"):
        np.testing.assert_array_equal(getattr(merged.result().top, field), getattr(whole.result().top, field))


class Large(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1e6


def test_values_beyond_float16_stay_at_its_limit() -> None:
    network = nn.Sequential(Large())
    layer = WatchedLayer("large", "0", 0, 3, 4, 4)
    run = ActivationPass(network, [layer], choose_device("cpu", "auto"), StatisticsPlan(2, 1, 0))
    images = torch.stack([torch.full((3, 4, 4), 1.0), torch.full((3, 4, 4), -1.0)])
    seen = run.run(images, np.arange(2), np.full(2, -1))
    np.testing.assert_array_equal(seen.maximum[0], [[65504] * 3, [-65504] * 3])
    np.testing.assert_array_equal(run.statistics[0].result().metrics["max"], [1e6] * 3)


def test_an_in_place_operation_after_the_layer_changes_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)).eval()
    images = torch.randn(3, 3, 9, 9)
    layer = WatchedLayer("conv", "0", 0, 4, 7, 7)
    run = ActivationPass(network, [layer], choose_device("cpu", "auto"), StatisticsPlan(2, 3, 0))
    run.run(images, np.arange(3), np.full(3, -1))
    with torch.inference_mode():
        expected = network[0](images)
    metrics = run.statistics[0].result().metrics
    np.testing.assert_allclose(metrics["mean"], expected.double().mean((0, 2, 3)).numpy(), rtol=1e-4, atol=1e-6)
    assert (metrics["sparsity"] == (expected <= 0).double().mean((0, 2, 3)).float().numpy()).all()
