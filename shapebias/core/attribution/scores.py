"""The registry of explainability scores, which measure how well an attribution map shows where a network looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.attribution.method import REFERENCE_SIDE

TOLERANCE = 15.0  # how far a map's strongest pixel may be from the object to point to it, in px of a 224 px image
THRESHOLDS = tuple(number / 20 for number in range(20))  # fractions of a map's largest evidence: 0 to 0.95
LEAST_IOU = 0.5  # the IoU from which an object counts as localised
LEAST_IOUS = (0.3, 0.5, 0.7)  # the same for `localisation_mean`, which is the mean over them
_RISE = "Petsiuk, Das & Saenko 2018 (arXiv 1806.07421)"
_CHOE = "Choe et al. 2020 (arXiv 2001.07437)"

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class MapScore:
    """A score in [0, 1] of one image's map. `higher` says whether larger is better; `title` is its column's header."""

    name: str
    title: str
    higher: bool
    formula: str
    source: str


_ALL = (
    MapScore(
        name="insertion",
        title="insertion",
        higher=True,
        formula="area under the probability of the explained output while pixels of the image, the most important "
        "first, take their places in the blurred image, over the fraction of pixels",
        source=_RISE,
    ),
    MapScore(
        name="deletion",
        title="deletion",
        higher=False,
        formula="the same while pixels of the image, the most important first, become grey",
        source=_RISE,
    ),
    MapScore(
        name="insertion_max",
        title="insertion / max",
        higher=True,
        formula="insertion over the curve's maximum, so that confidence alone does not count",
        source=f"{_RISE}, over the maximum",
    ),
    MapScore(
        name="deletion_max",
        title="deletion / max",
        higher=False,
        formula="deletion over the curve's maximum, so that confidence alone does not count",
        source=f"{_RISE}, over the maximum",
    ),
    MapScore(
        name="pointing",
        title="pointing",
        higher=True,
        formula=f"whether the most important pixel is at most {TOLERANCE:g} px of {REFERENCE_SIDE} away from the "
        "object: its pixels where they are known, else its boxes",
        source="Zhang et al. 2018 (arXiv 1608.00507)",
    ),
    MapScore(
        name="pointing_exact",
        title="pointing, exact",
        higher=True,
        formula="whether the most important pixel is on the object",
        source="Zhang et al. 2018, without the tolerance",
    ),
    MapScore(
        name="localisation",
        title="localisation",
        higher=True,
        formula=f"whether the box around the largest component of {{evidence >= t * its maximum}} and a box of the "
        f"object have an IoU of at least {LEAST_IOU:g}; t is the best for the images of the other half",
        source=f"MaxBoxAcc: {_CHOE}, with a threshold of held-out images",
    ),
    MapScore(
        name="localisation_mean",
        title="localisation, mean",
        higher=True,
        formula=f"the mean over the IoUs {', '.join(f'{least:g}' for least in LEAST_IOUS)}, each with its own t",
        source=f"MaxBoxAccV2: {_CHOE}",
    ),
    MapScore(
        name="mass",
        title="mass",
        higher=True,
        formula="the part of the evidence that is on the object's pixels",
        source="energy-based pointing game: Wang et al. 2020 (arXiv 1910.01279)",
    ),
)
SCORES: dict[str, MapScore] = {score.name: score for score in _ALL}


def areas(curves: Floats, fractions: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Return the areas under curves by the trapezoid rule, and the same divided by the curves' maxima, float32 [...].

    curves float32 [..., points]; fractions [points] ascend from 0 to 1. Both are NaN where a curve holds NaN, the
    second also where the curve's maximum is 0.

    >>> [float(area) for area in areas(np.array([0.0, 0.5, 0.5], np.float32), np.array([0.0, 0.5, 1.0]))]
    [0.375, 0.75]
    """
    values = curves.astype(np.float64)
    area = ((values[..., 1:] + values[..., :-1]) / 2 * np.diff(fractions)).sum(-1)
    largest = values.max(-1)
    relative = np.divide(area, largest, out=np.full_like(area, np.nan), where=largest > 0)
    return area.astype(np.float32), relative.astype(np.float32)


def points_to(pixel: tuple[int, int], region: NDArray[np.bool_], tolerance: float) -> bool:
    """Return whether a pixel (y, x) is at most `tolerance` px away from a region, bool [h, w], that is not empty."""
    rows, columns = np.nonzero(region)
    squares = (rows - pixel[0]) ** 2 + (columns - pixel[1]) ** 2
    return bool(squares.min() <= tolerance**2)


def mass_on(evidence: Floats, region: NDArray[np.bool_]) -> float:
    """Return the fraction of the evidence (>= 0, [h, w]) that is in a region, bool [h, w].

    A map without evidence, such as a constant one, counts as spread evenly: the result is the region's fraction of the
    area.
    """
    total = float(evidence.sum(dtype=np.float64))
    return float(evidence[region].sum(dtype=np.float64)) / total if total > 0 else float(region.mean())


def evidence(values: Floats, *, signed: bool, sensitivity: bool) -> Floats:
    """Return how much each pixel of a map [..., h, w] speaks for the explained output, >= 0.

    It is the absolute value for sensitivities (how the score changes with a pixel), the part above 0 for signed
    contributions, and the value above the map's minimum for others.
    """
    if sensitivity:
        return np.abs(values)
    return np.maximum(values, 0) if signed else values - values.min((-2, -1), keepdims=True)
