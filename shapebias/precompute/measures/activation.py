"""The activation pass: one forward per batch feeds the statistics of every watched layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.precompute.device import Device
from shapebias.precompute.models.hooks import Watch, WatchedLayer, first_tensor
from shapebias.precompute.parts import Part, WithoutPrefix
from shapebias.precompute.statistics.class_means import ClassMeans
from shapebias.precompute.statistics.draws import Draw, Pairing
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.moments import Moments
from shapebias.precompute.statistics.quantile import Quantile
from shapebias.precompute.statistics.statistic import AttributeState, Statistic, to_part
from shapebias.precompute.statistics.topk import TopK, TopKResult
from shapebias.precompute.statistics.variation import Variation
from shapebias.precompute.stopwatch import Stopwatch


@dataclass(frozen=True)
class BatchActivations:
    """The results of one batch.

    output:         what the network returned, or the first tensor of it; None where there is none
    maximum, mean:  for every layer float16 [B, units], the maximum and the mean of each map; NaN for a map with NaN or
                    infinite values
    """

    output: Tensor | None
    maximum: list[NDArray[np.float16]]
    mean: list[NDArray[np.float16]]


@dataclass(frozen=True)
class StatisticsPlan:
    """The settings of every layer's statistics.

    top:             length of a unit's list of top images
    planned_images:  number of images in the listing, of which some may be left out; it bounds the memory of quantiles
    classes:         number of classes in the images' labels; 0 for images without labels
    seed:            of random numbers
    """

    top: int
    planned_images: int
    classes: int
    seed: int = 0


@dataclass(frozen=True)
class LayerResult:
    """The results of a layer's statistics.

    metrics:   by name, float32 [units]
    top:       the units' top images
    left_out:  how many maps (one per image and unit) were left out because they held NaN or infinite values
    """

    metrics: dict[str, NDArray[np.float32]]
    top: TopKResult
    left_out: int


class LayerStatistics(AttributeState):
    """The running statistics of one layer, combined into one statistic."""

    _STATE = ("images",)

    def __init__(self, layer: WatchedLayer, plan: StatisticsPlan, device: torch.device) -> None:
        units, positions = layer.units, layer.height * layer.width
        self.moments = Moments(units, device)
        self.top = TopK(units, plan.top, layer.height, layer.width, device=device)
        self.quantile = Quantile(units, positions, plan.planned_images, device)
        self.variation = Variation(units, layer.height, layer.width, device)
        self.is_signed = layer.signed
        self.classes = ClassMeans(units, plan.classes, device) if plan.classes else None
        self.class_averages = ClassMeans(units, plan.classes, device, "average") if plan.classes else None
        self.images, self._positions = 0, positions

    @property
    def draws(self) -> list[Draw]:
        """Return the random numbers that the statistics need for each batch."""
        return [Pairing(self._positions), *self.quantile.draws]

    def _named_statistics(self) -> dict[str, Statistic[Maps, Any]]:
        """Return the statistics by the names of their states."""
        statistics: dict[str, Statistic[Maps, Any]] = {
            "moments": self.moments,
            "top": self.top,
            "quantile": self.quantile,
            "variation": self.variation,
        }
        if self.classes is not None and self.class_averages is not None:
            statistics |= {"classes": self.classes, "class_averages": self.class_averages}
        return statistics

    @property
    def left_out(self) -> int:
        """Return how many maps were left out because they held NaN or infinite values."""
        return self.images * len(self.moments.count) - int(self.moments.count.sum()) // self._positions

    def update(self, maps: Maps) -> None:
        """Add a batch of maps, whose positions in the listing are above all earlier ones."""
        for statistic in self._named_statistics().values():
            statistic.update(maps)
        self.images += maps.count

    def merge(self, other: "LayerStatistics") -> None:
        """Add the images that `other` saw, which come later in the listing."""
        others = other._named_statistics()
        for name, statistic in self._named_statistics().items():
            statistic.merge(others[name])
        self.images += other.images

    def state_dict(self) -> Part:
        """Return the states of all statistics, each under its name."""
        return super().state_dict() | to_part(self._named_statistics())

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the values of the statistics from a `state_dict`."""
        super().load_state_dict(state)
        for name, statistic in self._named_statistics().items():
            statistic.load_state_dict(WithoutPrefix(state, name))

    def result(self) -> LayerResult:
        """Return every metric of the pass, and the top images."""
        moments, variation, top = self.moments.result(), self.variation.result(), self.top.result()
        metrics = {
            "max": moments.max,
            "mean": moments.mean,
            "std": moments.std,
            "sparsity": moments.sparsity,
            "tied": np.where(top.tied > 0, top.tied, np.nan).astype(np.float32),
            "q995": self.quantile.result(),
            "tv": variation.tv,
            "smoothness": variation.smoothness,
            "coherence": variation.coherence,
        }
        for name, means in (("selectivity", self.classes), ("selectivity_mean", self.class_averages)):
            if means is not None:  # selectivity is not defined for negative activations
                metrics[name] = np.full_like(moments.max, np.nan) if self.is_signed else means.result()
        return LayerResult(metrics, top, self.left_out)


class ActivationPass:
    """Runs a network over batches of images and feeds the statistics of its watched layers."""

    def __init__(self, network: nn.Module, layers: list[WatchedLayer], device: Device, plan: StatisticsPlan) -> None:
        self.network, self.layers, self.device = network, layers, device
        self.statistics = [LayerStatistics(layer, plan, device.device) for layer in layers]
        self.network_time = Stopwatch(device.device)  # measures the time of forwards, without the statistics
        self.network_images = 0
        self._seed = plan.seed
        self._draws = [draw for statistics in self.statistics for draw in statistics.draws]
        self._images: ImageBatch | None = None
        self._seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # by layer: `maximum`, `average`, `finite`

    def run(
        self,
        inputs: Tensor,
        positions: NDArray[np.int64],
        labels: NDArray[np.int64],
        keys: NDArray[np.int64] | None = None,
    ) -> BatchActivations:
        """Run one forward and update the statistics.

        inputs:     [B, 3, H, W] on the device
        positions:  int64 [B], of the images in the listing, ascending from batch to batch: they seed random numbers and
                    name the image in top lists
        labels:     int64 [B], the images' classes, -1 for none
        keys:       int64 [B], the same for an image in any listing: see `ImageBatch`

        Errors of the network pass through.
        """
        self._images = ImageBatch(
            positions, labels, keys, seed=self._seed, draws=self._draws, device=self.device.device
        )
        self._seen = {}
        with self.device.inference(), Watch(self.network, self.layers, self._update), self.network_time.running():
            output = first_tensor(self.network(inputs))
        self.network_images += len(inputs)
        return BatchActivations(output, *self._activations())

    def _update(self, index: int, output: Tensor) -> None:
        with self.network_time.paused():
            maps = Maps(output, self._images)
            self.statistics[index].update(maps)
            self._seen[index] = maps.reduction.maximum, maps.average, maps.reduction.finite

    def _activations(self) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float16]]]:
        """Return the maxima and the means of each layer's maps, float16 [B, units], in one transfer from the device.

        Values beyond float16's range are clipped; those of maps with NaN or infinite values are NaN.
        """
        layers = range(len(self.layers))
        maximum, mean, finite = (torch.cat([self._seen[layer][kind] for layer in layers], 1) for kind in range(3))
        largest = torch.finfo(torch.float16).max
        both = torch.stack([maximum, mean]).clamp(-largest, largest).masked_fill(~finite, torch.nan)
        on_host = both.half().cpu().numpy()
        bounds = np.cumsum([layer.units for layer in self.layers])[:-1]
        return np.split(on_host[0], bounds, axis=1), np.split(on_host[1], bounds, axis=1)
