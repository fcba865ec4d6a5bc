"""The activation pass: one forward a batch feeds the statistics of every watched layer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.precompute.device import Device
from shapebias.precompute.models.hooks import Watch, WatchedLayer, first_tensor
from shapebias.precompute.statistics.class_means import ClassMeans
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.moments import Moments
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.statistics.state import Inside, Part, pack, prefixed, unpack
from shapebias.precompute.statistics.topk import TopK, TopKResult
from shapebias.precompute.statistics.variation import Variation


@dataclass(frozen=True)
class BatchActivations:
    """What one batch gives an image: the network's output and, a layer, float16 [B, units] of each kind."""

    output: Tensor | None
    maximum: list[NDArray[np.float16]]
    mean: list[NDArray[np.float16]]


class LayerStatistics:
    """The running statistics of one layer: together a monoid, as each of them is."""

    def __init__(
        self, layer: WatchedLayer, top: int, planned_images: int, classes: int, seed: int, device: torch.device
    ) -> None:
        self.moments = Moments(layer.units, device)
        self.top = TopK(layer.units, top, layer.height, layer.width, device)
        self.quantile = Quantile(layer.units, layer.height * layer.width, planned_images, device, seed=seed)
        self.variation = Variation(layer.units, layer.height * layer.width, device)
        self.classes = ClassMeans(layer.units, classes, device) if classes else None
        self.left_out = 0  # maps with values that are no numbers

    def update(self, maps: Maps, images: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Takes in a batch: `images` int64 [B], ascending indices; `labels` int64 [B], -1 = none."""
        self.moments.update(maps)
        self.top.update(maps, images)
        self.quantile.update(maps)
        self.variation.update(maps)
        if not maps.reduction.all_finite:
            self.left_out += int((~maps.reduction.finite).sum())
        if self.classes is not None:
            self.classes.update(maps, labels)

    def merge(self, other: "LayerStatistics") -> None:
        """Takes in what `other` saw, of later images."""
        self.moments.merge(other.moments)
        self.top.merge(other.top)
        self.quantile.merge(other.quantile)
        self.variation.merge(other.variation)
        self.left_out += other.left_out
        if self.classes is not None and other.classes is not None:
            self.classes.merge(other.classes)

    def _parts(self) -> dict[str, Moments | TopK | Quantile | Variation | ClassMeans]:
        parts: dict[str, Moments | TopK | Quantile | Variation | ClassMeans]
        parts = {"moments": self.moments, "top": self.top, "quantile": self.quantile, "variation": self.variation}
        return parts if self.classes is None else {**parts, "classes": self.classes}

    def state(self) -> Part:
        """What `restore` needs."""
        state = pack(self, ("left_out",))
        for name, part in self._parts().items():
            state |= prefixed(name, part.state())
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Becomes what gave `state`."""
        unpack(self, ("left_out",), state)
        for name, part in self._parts().items():
            part.restore(Inside(state, name))

    def metrics(self) -> dict[str, NDArray[np.float32]]:
        """Every metric of the pass by name, float32 [units]."""
        moments = self.moments.result()
        metrics = {
            "max": moments.max,
            "mean": moments.mean,
            "std": moments.std,
            "sparsity": moments.sparsity,
            "q995": self.quantile.result(),
            "tv": self.variation.tv(),
            "smoothness": self.variation.smoothness(),
        }
        if self.classes is not None:
            metrics["selectivity"] = self.classes.result()
        return metrics

    def top_images(self) -> TopKResult:
        return self.top.result()


class ActivationPass:
    """Runs a network over batches of images and feeds the statistics of its watched layers."""

    def __init__(
        self,
        network: nn.Module,
        layers: list[WatchedLayer],
        device: Device,
        top: int,
        planned_images: int,
        classes: int,
        seed: int = 0,
    ) -> None:
        self.network, self.layers, self.device, self.classes = network, layers, device, classes
        self.statistics = [
            LayerStatistics(layer, top, planned_images, classes, seed, device.device) for layer in layers
        ]
        self.network_seconds = 0.0
        self.network_images = 0
        self._statistics_seconds = 0.0
        self._positions = self._images = self._labels = np.zeros(0, np.int64)
        self._maximum: dict[int, Tensor] = {}
        self._mean: dict[int, Tensor] = {}

    def run(
        self, inputs: Tensor, positions: NDArray[np.int64], images: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> BatchActivations:
        """One forward. `inputs` [B, 3, H, W] on the device; int64 [B] each: the images' positions in the listing (what
        is random about an image depends on it), their indices in the store (ascending) and labels (-1 = none)."""
        self._positions, self._images, self._labels = positions, images, labels
        self._maximum, self._mean = {}, {}
        self._statistics_seconds = 0.0
        if self.device.is_cuda and not self.network_images:
            self._time_network(inputs)
        start = time.perf_counter()
        with self.device.inference(), Watch(self.network, self.layers, self._see):
            output = first_tensor(self.network(inputs))
        if not self.device.is_cuda:  # there the hooks' time can be told apart from the network's
            self.network_seconds += time.perf_counter() - start - self._statistics_seconds
            self.network_images += len(inputs)
        return BatchActivations(output, self._half(self._maximum), self._half(self._mean))

    def _time_network(self, inputs: Tensor) -> None:
        """The bare forward of one batch, after a first one that warms up."""
        for _ in range(2):
            self.device.synchronize()
            start = time.perf_counter()
            with self.device.inference():
                self.network(inputs)
            self.device.synchronize()
        self.network_seconds, self.network_images = time.perf_counter() - start, len(inputs)

    def _see(self, index: int, output: Tensor) -> None:
        start = time.perf_counter()
        maps = Maps(output, self._positions)
        self.statistics[index].update(maps, self._images, self._labels)
        maximum, mean = maps.reduction.maximum, (maps.reduction.total / (maps.height * maps.width)).float()
        if not maps.reduction.all_finite:
            maximum, mean = (each.masked_fill(~maps.reduction.finite, torch.nan) for each in (maximum, mean))
        self._maximum[index], self._mean[index] = maximum, mean
        self._statistics_seconds += time.perf_counter() - start

    def _half(self, by_layer: dict[int, Tensor]) -> list[NDArray[np.float16]]:
        """float16 [B, units] a layer, in one transfer; what is beyond float16's range stays at its end, NaN is NaN."""
        parts = [by_layer[index] for index in range(len(self.layers))]
        largest = torch.finfo(torch.float16).max
        joined = torch.cat(parts, 1).clamp(-largest, largest).half().cpu().numpy()
        return np.split(joined, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)
