"""How the pixels where units fire overlap with the pixels that show a concept: Network Dissection's counts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.concepts import (
    DETECTOR,
    NETDISSECT_LITE,
    PUBLISHED,
    Concepts,
    LayerConcepts,
    intersection_over_union,
)
from shapebias.precompute.images.annotations import Labels
from shapebias.precompute.statistics import kernels
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState

_CHUNK = 1 << 24  # upsampled values at once on a device


@dataclass(frozen=True)
class Upsampling:
    """From `size` values to `length` by linear interpolation between pixel centres, as PyTorch does it without
    align_corners: output i lies at (i + 0.5) * size / length - 0.5, not before the first nor behind the last value.

    low int64 [length]: the value before it; weight float64 [length]: of the value behind that.
    """

    low: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def between(cls, size: int, length: int) -> "Upsampling":
        position = np.maximum((np.arange(length) + 0.5) * (size / length) - 0.5, 0)
        low = np.minimum(position.astype(np.int64), size - 1)
        return cls(low, position - low)


@dataclass(frozen=True)
class AnnotatedMaps:
    """A batch of maps, and what the pixels of its images show."""

    maps: Maps
    labels: Labels

    def one_by_one(self) -> Iterator["AnnotatedMaps"]:
        """Yield each image as a batch of its own."""
        for image in range(self.maps.images):
            some = slice(image, image + 1)
            labels = replace(self.labels, planes=self.labels.planes[some], whole=self.labels.whole[some])
            yield AnnotatedMaps(type(self.maps)(self.maps.tensor[some], self.maps.positions[some]), labels)


class Overlap(AttributeState):
    """The monoid of a layer's pixel counts, all exact: where a > T (upsampled to the annotation, in float64), where a
    concept is, where both are.

    threshold float32 [units]: T; NaN for none; iou_area: one of IOU_AREAS. Its memory is units x concepts, whatever the
    number of images.
    """

    _STATE = ("shared", "activation", "truth")

    def __init__(
        self, threshold: NDArray[np.float32], concepts: Concepts, device: torch.device, iou_area: str = PUBLISHED
    ) -> None:
        units = len(threshold)
        self._only_where_lit = iou_area == NETDISSECT_LITE
        self.concepts = concepts
        self.threshold = torch.from_numpy(threshold).to(device)
        self.shared = torch.zeros((units, len(concepts) + 1), dtype=torch.int64, device=device)
        self.activation = torch.zeros((units, len(concepts.categories)), dtype=torch.int64, device=device)
        self.truth = np.zeros(len(concepts) + 1, np.int64)

    def update(self, batch: AnnotatedMaps) -> None:
        """Take in a batch of annotated maps."""
        if self._only_where_lit:
            for image in batch.one_by_one():
                before = self.shared.clone()
                area = self._count(image)
                self.activation += area.T * self._lit(self.shared - before)
        else:
            self.activation += _product(self._count(batch), batch.labels.carried)

    def _lit(self, shared: Tensor) -> Tensor:
        """Return on which categories units fire, int64 [units, categories], from the pixels that they share with each
        concept, [units, concepts + 1]."""
        of_category = np.equal.outer(self.concepts.category, np.arange(len(self.concepts.categories)))
        fires = (shared[:, 1:] > 0).double()
        return (fires @ torch.from_numpy(of_category).to(fires.device).double() > 0).long()

    def _count(self, batch: AnnotatedMaps) -> Tensor:
        """Count where concepts are, and where units fire on them. Return the units' pixels, int64 [images, units]."""
        maps, labels = batch.maps, batch.labels
        area = torch.zeros((maps.images, maps.units), dtype=torch.int64, device=self.shared.device)
        if maps.on_cpu:
            self._count_on_cpu(maps, labels, area)
        else:
            self._count_on_device(maps, labels, area)
        covering = np.unique(labels.whole[labels.whole > 0]).astype(np.int64)
        if len(covering):
            covered = (labels.whole[:, :, None] == covering).any(1)
            self.shared[:, torch.from_numpy(covering).to(self.shared.device)] += _product(area, covered)
        self.truth += labels.pixels.sum(0)
        return area

    def _count_on_cpu(self, maps: Maps, labels: Labels, area: Tensor) -> None:
        rows, columns = _upsamplings(maps, labels)
        kernels.over_units(
            kernels.count_concepts,
            maps.units,
            maps.usable.numpy(),
            maps.width,
            self.threshold.numpy(),
            rows.low,
            rows.weight,
            columns.low,
            columns.weight,
            labels.planes,
            area.numpy(),
            self.shared.numpy(),
        )

    def _count_on_device(self, maps: Maps, labels: Labels, area: Tensor) -> None:
        device = self.shared.device
        rows, columns = _upsamplings(maps, labels)
        planes = torch.from_numpy(labels.planes.astype(np.int32)).to(device)
        usable = maps.tensor.isfinite().all(3).all(2)
        images, units = (usable & (maps.tensor.amax((2, 3)) > self.threshold)).nonzero(as_tuple=True)
        step = max(1, _CHUNK // (labels.height * labels.width))
        for first in range(0, len(images), step):
            image, unit = images[first : first + step], units[first : first + step]
            values = _stretch(maps.tensor[image, unit].double(), rows, 1)
            above = (_stretch(values, columns, 2) > self.threshold[unit, None, None]).flatten(1)
            area[image, unit] = above.sum(1)
            pair, pixel = above.nonzero(as_tuple=True)
            row = unit[pair] * self.shared.shape[1]
            for plane in range(planes.shape[1]):
                cell = row + planes[image[pair], plane, pixel]
                self.shared.view(-1).scatter_add_(0, cell, torch.ones_like(cell))

    def merge(self, other: "Overlap") -> None:
        """Take in what `other` counted, with the same thresholds."""
        self.shared += other.shared
        self.activation += other.activation
        self.truth += other.truth

    def result(self) -> tuple[LayerConcepts, NDArray[np.float32]]:
        """Return each category's best concept for every unit (the first of equal ones), and the units' number of
        concepts with an IoU of at least 0.04, float32 [units], NaN where the unit is undecided."""
        shared, activation = self.shared[:, 1:].cpu().numpy(), self.activation.cpu().numpy()
        category = np.array(self.concepts.category, np.int64)
        iou = intersection_over_union(shared, activation[:, category], np.broadcast_to(self.truth[1:], shared.shape))
        shape = activation.shape
        label, common, truth = np.full(shape, -1, np.int32), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        units = np.arange(len(shared))
        for index in range(shape[1]):
            members = np.flatnonzero(category == index)
            if len(members):
                chosen = members[iou[:, members].argmax(1)]
                label[:, index], common[:, index] = chosen, shared[units, chosen]
                truth[:, index] = self.truth[1:][chosen]
        best = LayerConcepts(label=label, intersection=common, activation=activation, truth=truth)
        return best, np.where(best.undecided, np.nan, (iou >= DETECTOR).sum(1)).astype(np.float32)


def _upsamplings(maps: Maps, labels: Labels) -> tuple[Upsampling, Upsampling]:
    return Upsampling.between(maps.height, labels.height), Upsampling.between(maps.width, labels.width)


def _product(area: Tensor, shows: NDArray[np.bool_]) -> Tensor:
    """Return the sum over images, int64 [C, n], of area int64 [B, C] where shows bool [B, n]. Exact: below 2^53."""
    return (area.T.double() @ torch.from_numpy(shows).to(area.device).double()).long()


def _stretch(values: Tensor, to: Upsampling, dimension: int) -> Tensor:
    """Return values, upsampled in one dimension."""
    low = torch.from_numpy(to.low).to(values.device)
    shape = [-1 if axis == dimension else 1 for axis in range(values.dim())]
    weight = torch.from_numpy(to.weight).to(values.device).view(shape)
    before = values.index_select(dimension, low)
    behind = values.index_select(dimension, (low + 1).clamp(max=values.shape[dimension] - 1))
    return before + weight * (behind - before)
