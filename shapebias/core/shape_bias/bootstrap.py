"""Percentile bootstrap intervals: how much a shape bias would differ with other stimuli of the same kind."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]  # its lower and its upper end
NO_INTERVAL = (float("nan"), float("nan"))
_AT_ONCE = 4_000_000  # number of values that are held at once
_SOURCES = re.compile(r"([^-]*[^\W\d_][0-9]+)-([^-]*[^\W\d_][0-9]+)(?:\.[A-Za-z0-9]+)?")


def sources_of(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return for every stimulus the number of the photo that gave its shape, and that of the image that gave its
    texture, int64 [images] each.

    Both are numbered from 0, and stimuli made of the same one have the same number. `cat1-elephant2.png` was made of
    the photo cat1 and the texture elephant2. Returns None where any of the names does not tell.
    """
    pairs = []
    for name in names:
        match = _SOURCES.fullmatch(name)
        if match is None:
            return None
        pairs.append(match.groups())
    shapes, textures = zip(*pairs, strict=True) if pairs else ((), ())
    return _numbered(shapes), _numbered(textures)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(names, object), return_inverse=True)[1].astype(np.int64)


def crossed_interval(
    counts: NDArray[np.int64],
    shape_source: NDArray[np.int64],
    texture_source: NDArray[np.int64],
    *,
    seed: int,
    resamples: int,
) -> Interval:
    """Return the 95 % interval of the shape bias over resampled shape sources and, crossed with them, texture sources.

    counts:                        int64 [images, 2], the numbers of an image's decisions by shape and by texture
    shape_source, texture_source:  int64 [images], the numbers that `sources_of` returns

    Stimuli made of the same photo or texture are not independent. So both kinds of sources are drawn with replacement,
    and an image counts (times its shape was drawn) x (times its texture was drawn): the pigeonhole bootstrap of Owen
    2007, doi:10.1214/07-AOAS122. NO_INTERVAL where there is no decision by shape or texture.
    """
    decided = np.flatnonzero(counts.any(1))
    random = np.random.default_rng(seed)
    shapes, textures = (int(source.max(initial=-1)) + 1 for source in (shape_source, texture_source))
    totals = []
    most = max(1, _AT_ONCE // max(shapes + textures + len(decided), 1))
    for start in range(0, resamples, most):
        size = min(most, resamples - start)
        by_shape, by_texture = (
            random.multinomial(count, np.full(count, 1 / count), size) for count in (shapes, textures)
        )
        weights = by_shape[:, shape_source[decided]] * by_texture[:, texture_source[decided]]
        totals.append(weights.astype(np.float64) @ counts[decided])
    return _percentiles(np.concatenate(totals))


def image_interval(counts: NDArray[np.int64], *, seed: int, resamples: int) -> Interval:
    """Return the 95 % interval of the shape bias over resampled images (Efron & Tibshirani 1993, ch. 13).

    counts int64 [images, 2]: the numbers of an image's decisions by shape and by texture, at least one image. Images
    with equal counts are interchangeable, so a resample is one multinomial draw of how many images have each pair of
    counts. NO_INTERVAL where there is no decision by shape or texture.
    """
    kinds, times = np.unique(counts, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(counts), times / len(counts), resamples)
    return _percentiles((drawn @ kinds).astype(np.float64))


def _percentiles(totals: NDArray[np.float64]) -> Interval:
    """Return the 95 % interval of the shape bias from resampled numbers of decisions by shape and by texture,
    [resamples, 2].

    Resamples without any such decision are left out; NO_INTERVAL where all are.
    """
    shape, texture = totals.T
    decided = shape + texture > 0
    if not decided.any():
        return NO_INTERVAL
    low, high = np.percentile(shape[decided] / (shape + texture)[decided], [2.5, 97.5])
    return float(low), float(high)
