"""Counts of the pixels where units fire and concepts are shown, as in Network Dissection."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Self

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
from shapebias.precompute.statistics.image_batch import CPU, upload
from shapebias.precompute.statistics.kernels import operators
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.statistic import AttributeState


@dataclass(frozen=True)
class Upsampling:
    """Linear interpolation of `size` values to `length` values between pixel centres, as in PyTorch without
    align_corners.

    Output i lies at (i + 0.5) * size / length - 0.5, limited to the range of the values.

    low:     int64 [length], for every output the index of the value before it
    weight:  float64 [length], the weight of the value after that, 0 to 1
    """

    low: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def between(cls, size: int, length: int) -> "Upsampling":
        """Return the interpolation of `size` values to `length` values."""
        position = np.maximum((np.arange(length) + 0.5) * (size / length) - 0.5, 0)
        low = np.minimum(position.astype(np.int64), size - 1)
        return cls(low, position - low)


@dataclass(frozen=True)
class ShownConcepts:
    """The concepts in a batch's pixels, as tensors on a device, for all layers.

    A label is a concept's index + 1.

    planes:         int32 [B, planes, height * width], the labels of the pixels; 0 is none
    covering:       int64 [n], those labels that cover all of an image of the batch
    covered:        float64 [B, n], 1 where such a label covers an image, else 0
    carried:        float64 [B, categories], 1 where an image shows any concept of a category, else 0
    pixels:         int64 [B, concepts + 1], how many pixels of an image show each concept; a NumPy array
    height, width:  of the planes
    """

    planes: Tensor
    covering: Tensor
    covered: Tensor
    carried: Tensor
    pixels: NDArray[np.int64]
    height: int
    width: int

    @classmethod
    def of(cls, labels: Labels, device: torch.device = CPU) -> Self:
        """Return the concepts of a batch's labels, uploaded to a device in one transfer."""
        labels_of_all = np.unique(labels.whole[labels.whole > 0]).astype(np.int64)
        of_image = (labels.whole[:, :, None] == labels_of_all).any(1).astype(np.float64)
        arrays = [labels.planes.astype(np.int32), labels_of_all, of_image, labels.carried.astype(np.float64)]
        planes, covering, covered, carried = upload(arrays, device)
        return cls(planes, covering, covered, carried, labels.pixels, labels.height, labels.width)

    def of_image(self, image: int) -> Self:
        """Return the concepts of the image at an index of the batch, as a batch of one."""
        some = slice(image, image + 1)
        return replace(
            self,
            planes=self.planes[some],
            covered=self.covered[some],
            carried=self.carried[some],
            pixels=self.pixels[some],
        )


@dataclass(frozen=True)
class AnnotatedMaps:
    """A batch of maps, and the concepts in the pixels of its images."""

    maps: Maps
    concepts: ShownConcepts

    def one_by_one(self) -> Iterator["AnnotatedMaps"]:
        """Yield each image as a batch of its own."""
        for image in range(self.maps.count):
            maps = type(self.maps)(self.maps.tensor[image : image + 1])
            yield AnnotatedMaps(maps, self.concepts.of_image(image))


class Overlap(AttributeState):
    """The monoid of a layer's pixel counts, all exact: where a > T, where a concept is, and where both are.

    threshold:   float32 [units], T; a unit whose T is NaN fires nowhere
    iou_area:    one of IOU_AREAS: the images over which a unit's pixels are summed for a category
    shared:      int64 [units, concepts + 1], the pixels of each label on which the unit fires; column 0, no label,
                 means nothing
    activation:  int64 [units, categories], the pixels where the unit fires, in the images of `iou_area`
    truth:       int64 [concepts + 1], the pixels of each label

    The maps are upsampled to the annotation in float64. The memory is units x concepts for any number of images.
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
        """Add a batch of annotated maps."""
        if self._only_where_lit:
            for image in batch.one_by_one():
                before = self.shared.clone()
                area = self._count(image)
                self.activation += area.T * self._count_shared(self.shared - before)
        else:
            self.activation += _product(self._count(batch), batch.concepts.carried)

    def _count_shared(self, shared: Tensor) -> Tensor:
        """Return 1 where a unit fires on any concept of a category, else 0: int64 [units, categories].

        shared [units, concepts + 1] are the pixels of one image.
        """
        fires = (shared[:, 1:] > 0).double()
        return (fires @ self._of_category > 0).long()

    @cached_property
    def _of_category(self) -> Tensor:
        """Return 1 where a concept belongs to a category, else 0: float64 [concepts, categories]."""
        of_category = np.equal.outer(self.concepts.category, np.arange(len(self.concepts.categories)))
        return torch.from_numpy(of_category.astype(np.float64)).to(self.shared.device)

    def _count(self, batch: AnnotatedMaps) -> Tensor:
        """Count the batch's pixels in `shared` and `truth`.

        Return how many pixels of each image every unit fires on, int64 [images, units].
        """
        maps, concepts = batch.maps, batch.concepts
        area = torch.zeros((maps.count, maps.units), dtype=torch.int64, device=self.shared.device)
        upsampling = _upsampling(maps.height, maps.width, concepts.height, concepts.width, area.device)
        operators.count_concepts(
            area, self.shared, maps.tensor, maps.maximum, self.threshold, upsampling, concepts.planes
        )
        self.shared.index_add_(1, concepts.covering, _product(area, concepts.covered))
        self.truth += concepts.pixels.sum(0)
        return area

    def merge(self, other: "Overlap") -> None:
        """Add the counts of `other`, which has the same thresholds."""
        self.shared += other.shared
        self.activation += other.activation
        self.truth += other.truth

    def result(self) -> tuple[LayerConcepts, NDArray[np.float32]]:
        """Return each category's best concept for every unit (the first of equal ones), and the units' concept
        diversity.

        That is the number of concepts with an IoU of at least 0.04, float32 [units]; NaN where the unit is `undecided`
        (see `LayerConcepts`).
        """
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


@cache
def _upsampling(height: int, width: int, rows: int, columns: int, device: torch.device) -> list[Tensor]:
    """Return how maps of height x width are upsampled to planes of rows x columns, as tensors on a device.

    They are `low` and `weight` of the rows, then of the columns (`Upsampling`).
    """
    of_rows, of_columns = Upsampling.between(height, rows), Upsampling.between(width, columns)
    return upload([of_rows.low, of_rows.weight, of_columns.low, of_columns.weight], device)


def _product(area: Tensor, shows: Tensor) -> Tensor:
    """Return the sum over images, int64 [C, n], of area int64 [B, C] where shows float64 [B, n] is 1.

    The sums are exact, as they are below 2^53.
    """
    return (area.T.double() @ shows).long()
