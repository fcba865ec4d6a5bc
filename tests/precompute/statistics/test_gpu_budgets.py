"""A batch's cost on a GPU besides the network's own operations, counted on a pretended CUDA."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shapebias.core.concepts import Concepts
from shapebias.precompute.device import CPU, Device
from shapebias.precompute.images.annotations import Labels
from shapebias.precompute.measures.activation import ActivationPass, StatisticsPlan
from shapebias.precompute.models.hooks import Watch, WatchedLayer
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.overlap import AnnotatedMaps, Overlap, ShownConcepts
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.statistics.variation import Variation
from tests.support.pretended_cuda import CUDA, CudaTensor, PretendedGpu, pretended_cuda

IMAGES, CLASSES, LAYERS = 6, 5, 4
WAITS, OPERATIONS, READS = 2, 15, 2  # of the pass in a batch; of a layer; of an activation map
DEVICE = Device(CUDA)


@pytest.fixture
def gpu() -> Iterator[PretendedGpu]:
    with pretended_cuda() as gpu:
        yield gpu


def network() -> tuple[nn.Module, list[WatchedLayer]]:
    """Convolutions with maps of several sizes, down to a single position."""
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Conv2d(width, 18, 3, 2, 1), nn.ReLU()) for width in (3, 18, 18, 18)]
    layers = [WatchedLayer(str(index), str(index), 0, 18, side, side) for index, side in enumerate((8, 4, 2, 1))]
    return DEVICE.to(nn.Sequential(*blocks).eval()), layers


def counted(gpu: PretendedGpu, action: Callable[[], Any]) -> Counter[str]:
    """Return what an action adds to the counts."""
    before = Counter(gpu.counts)
    action()
    return gpu.counts - before


def waits(counts: Counter[str]) -> int:
    return sum(count for kind, count in counts.items() if kind.startswith("sync "))


class BudgetRun:
    """An activation pass over random images, three batches of which have been seen."""

    def __init__(self) -> None:
        self.network, self.layers = network()
        self.plan = StatisticsPlan(4, 100, CLASSES)
        self.run = ActivationPass(self.network, self.layers, DEVICE, self.plan)
        self.inputs = torch.rand(IMAGES, 3, 16, 16).to(CUDA)
        self.batches = 0
        for _ in range(3):
            self.batch()

    def batch(self) -> None:
        images = np.arange(IMAGES) + IMAGES * self.batches
        self.batches += 1
        self.run.run(self.inputs, images, images % CLASSES)

    def bare(self) -> None:
        with DEVICE.inference():
            self.network(self.inputs)


def test_a_batch_waits_twice_and_copies_from_pinned_memory(gpu: PretendedGpu) -> None:
    """The pass waits once for the activations; the second time is for the network's decisions."""
    run = BudgetRun()
    counts = counted(gpu, run.batch)
    assert waits(counts) + 1 <= WAITS, counts
    assert counts["sync copy to the GPU"] == 0
    assert counts["copy to the GPU"] == 1, "indices of all layers in one transfer"


def test_a_layer_takes_few_operations(gpu: PretendedGpu) -> None:
    run = BudgetRun()
    bare, batch = counted(gpu, run.bare)["kernel"], counted(gpu, run.batch)["kernel"]
    assert (batch - bare) / len(run.layers) <= OPERATIONS, gpu.log[-batch:]


def test_a_map_is_read_twice_at_most(gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for all that is summed up, once for the quantile's sample; of it top lists read what stays in them."""
    run = BudgetRun()
    readers: dict[int, list[str]] = {}
    layers: dict[int, int] = {}
    original = PretendedGpu.run

    def noted(self: PretendedGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = self.counts["kernel"]
        result = original(self, func, args, kwargs)
        if self.counts["kernel"] > before and "convolution" not in func.__name__:
            for argument in args:
                storage = argument.values.untyped_storage().data_ptr() if isinstance(argument, CudaTensor) else 0
                if storage in layers:
                    readers.setdefault(layers[storage], []).append(func.__name__)
        return result

    see = run.run._update
    alive: list[torch.Tensor] = []  # so that no other tensor gets a map's memory

    def noting(index: int, output: torch.Tensor) -> None:
        alive.append(output)
        layers[output.untyped_storage().data_ptr()] = index
        see(index, output)

    monkeypatch.setattr(PretendedGpu, "run", noted)
    monkeypatch.setattr(run.run, "_update", noting)
    run.batch()
    assert set(layers.values()) == set(range(LAYERS))
    for layer in range(LAYERS):
        whole = [name for name in readers[layer] if name != "insert_top.default"]
        assert len(whole) <= READS, readers[layer]
        assert len(readers[layer]) <= READS + 1, readers[layer]


def test_dissection_uploads_labels_once_and_never_waits(gpu: PretendedGpu) -> None:
    network_, layers = network()
    concepts = Concepts(tuple("abcdefg"), (0, 0, 1, 1, 1, 2, 2), ("color", "object", "scene"))
    overlaps = [Overlap(np.full(18, 0.1, np.float32), concepts, CUDA) for _ in layers]
    inputs = torch.rand(IMAGES, 3, 16, 16).to(CUDA)
    planes = np.random.default_rng(0).integers(0, 6, (IMAGES, 2, 64)).astype(np.uint16)
    whole = np.full((IMAGES, 1), 7, np.uint16)

    def batch() -> None:
        on_gpu = ShownConcepts.of(Labels(planes, whole, concepts, height=8, width=8), CUDA)
        see = lambda index, output: overlaps[index].update(AnnotatedMaps(Maps(output), on_gpu))  # noqa: E731
        with DEVICE.inference(), Watch(network_, layers, see):
            network_(inputs)

    batch()  # uploads what stays
    counts = counted(gpu, batch)
    assert waits(counts) == 0, counts
    assert counts["copy to the GPU"] == 1
    assert overlaps[0].shared.sum() > 0


def test_thresholds_and_noise_never_wait(gpu: PretendedGpu) -> None:
    network_, layers = network()
    quantiles = [Quantile(layer.units, layer.height * layer.width, 100_000, CUDA) for layer in layers]
    variations = [Variation(layer.units, layer.height, layer.width, CUDA) for layer in layers]
    inputs = torch.rand(IMAGES, 3, 16, 16).to(CUDA)
    draws = [draw for quantile in quantiles for draw in quantile.draws]

    def batch() -> None:
        images = ImageBatch(np.arange(IMAGES), draws=draws, device=CUDA)

        def see(index: int, output: torch.Tensor) -> None:
            quantiles[index].update(Maps(output, images, paired=False))
            variations[index].update(Maps(output))

        with DEVICE.inference(), Watch(network_, layers, see):
            network_(inputs)

    counts = counted(gpu, batch)
    assert waits(counts) == 0, counts
    assert counts["copy to the GPU"] == 1


def test_a_pass_on_the_gpu_gives_the_same_as_on_the_cpu(gpu: PretendedGpu) -> None:
    run = BudgetRun()
    here = ActivationPass(run.network.cpu(), run.layers, CPU, run.plan)
    for batch in range(3):
        images = np.arange(IMAGES) + IMAGES * batch
        here.run(run.inputs.cpu(), images, images % CLASSES)
    for one, other in zip(run.run.statistics, here.statistics, strict=True):
        for name, metric in other.result().metrics.items():
            np.testing.assert_allclose(one.result().metrics[name], metric, rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(one.result().top.image, other.result().top.image)
        np.testing.assert_array_equal(one.result().top.map, other.result().top.map)
