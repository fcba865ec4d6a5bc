"""Scores the maps of a model, image by image, as they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.attribution.localising import overlaps
from shapebias.core.attribution.method import Method, scaled
from shapebias.core.attribution.scores import THRESHOLDS, TOLERANCE, areas, evidence, mass_on, points_to
from shapebias.core.store.schema import OVERLAP
from shapebias.precompute.attribution.explanation import Question
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.scoring.curves import Curves
from shapebias.precompute.scoring.objects import Objects
from shapebias.precompute.scoring.ranking import Ranking, at_size, ranks

OF_CURVES = ("insertion", "deletion", "insertion_max", "deletion_max")
OF_OBJECTS = ("pointing", "pointing_exact", OVERLAP, "mass")
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Scoring:
    """The settings with which the maps of a scan's images are scored.

    steps:  number of steps of insertion and deletion; 0: not measured
    boxes:  for each image the boxes of the explained object, float64 [boxes, 4], in px of the input; there may be none
    is_explained:  bool [images], whether the object in the image's mask is what is explained
    """

    steps: int
    boxes: Sequence[NDArray[np.float64]]
    is_explained: NDArray[np.bool_]

    @property
    def names(self) -> list[str]:
        """The names of the scores that are measured."""
        return [*(OF_CURVES if self.steps else ()), *OF_OBJECTS]

    def start(
        self, subject: Subject, question: Question, positions: NDArray[np.int64], masks: NDArray[np.bool_]
    ) -> "BatchScores":
        """Return an object that scores the maps of a batch: the scan's images at `positions`.

        masks bool [B, H, W] are those of their objects, empty where there is none. Raises the errors of
        `Subject.scores`.
        """
        objects = [
            Objects.of(self.boxes[position], mask & self.is_explained[position])
            for position, mask in zip(positions.tolist(), masks, strict=True)
        ]
        return BatchScores(subject, question, objects, self.steps)


class BatchScores:
    """Scores the maps of one batch of images, method after method."""

    def __init__(self, subject: Subject, question: Question, objects: Sequence[Objects | None], steps: int) -> None:
        images = question.images
        self._objects, self._size = objects, images.shape[2:]
        self._ranking = Ranking(question.seeds, images[0, 0].numel(), subject.device)
        self._curves = Curves(subject, images, question.targets, steps) if steps else None

    def __call__(self, method: Method, maps: Tensor) -> dict[str, Values]:
        """Return the scores of a method's maps [B, h, w]: float32 [B] by name, and `overlap` [B, thresholds].

        NaN where a score needs the object's position and it is unknown, and for `mass` if only boxes are known. Raises
        the errors of `Subject.scores`.
        """
        height, width = self._size
        large = at_size(maps.float(), height, width)
        order = self._ranking(method, large)
        scores: dict[str, Values] = {}
        if self._curves is not None:
            insertion, deletion = (curve.cpu().numpy() for curve in self._curves(ranks(order)))
            scores["insertion"], scores["insertion_max"] = areas(insertion, self._curves.fractions)
            scores["deletion"], scores["deletion_max"] = areas(deletion, self._curves.fractions)
        first = order[:, 0].tolist()
        evidence_maps = evidence(large.cpu().numpy(), signed=method.signed, sensitivity=method.sensitivity)
        rows = [
            self._of_objects(values, divmod(pixel, width), objects)
            for values, pixel, objects in zip(evidence_maps, first, self._objects, strict=True)
        ]
        return scores | {name: np.array([row[name] for row in rows], np.float32) for name in OF_OBJECTS}

    @staticmethod
    def _of_objects(evidence_map: Values, pixel: tuple[int, int], objects: Objects | None) -> dict[str, Values | float]:
        """Return those scores of one map that need the object, from the map's evidence and most important pixel.

        known:    float32 [H, W], the evidence
        pixel:    its row and column
        objects:  where the object is; None: unknown, and the scores are NaN
        """
        if objects is None:
            return dict.fromkeys(OF_OBJECTS, np.nan) | {OVERLAP: np.full(len(THRESHOLDS), np.nan, np.float32)}
        return {
            "pointing": points_to(pixel, objects.region, scaled(TOLERANCE, min(evidence_map.shape))),
            "pointing_exact": float(objects.region[pixel]),
            OVERLAP: overlaps(evidence_map, THRESHOLDS, objects.boxes),
            "mass": mass_on(evidence_map, objects.region) if objects.masked else np.nan,
        }
