"""Diversity of a unit's top images, computed from the top lists without running networks."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Yields the embeddings of all images, block by block in order: (the index of a block's first image, floats [images,
# size]).
Embeddings = Callable[[], Iterator[tuple[int, NDArray[Any]]]]


def class_diversity(image: NDArray[np.int64], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return exp(entropy) of the classes of each unit's top images, the effective number of classes: float32 [units].

    image:   int64 [units, k], the units' top images as indices into `labels`; -1 where a list has fewer than k
    labels:  int32 [images], the classes of all images; -1 for an image without a label, which is left out

    The result is 1 to k; NaN where no top image has a label. The exponential of Shannon's entropy as an effective
    number: Hill 1973 (order 1).

    >>> class_diversity(np.array([[0, 1, 2, 3]]), np.array([5, 5, 7, 7], np.int32))
    array([2.], dtype=float32)
    """
    label = np.where(image >= 0, labels[image], -1)
    result = np.full(len(image), np.nan, np.float32)
    for unit, row in enumerate(label):
        counts = np.unique(row[row >= 0], return_counts=True)[1]
        if len(counts):
            share = counts / counts.sum()
            result[unit] = np.exp(-(share * np.log(share)).sum())
    return result


def visual_diversity(
    lists: list[NDArray[np.int64]], embeddings: Iterator[tuple[int, NDArray[Any]]], size: int
) -> list[NDArray[np.float32]]:
    """Return for each layer the mean cosine distance between all pairs of a unit's top images: float32 [units].

    lists:       each layer's top lists int64 [units, k], indices of images; -1 where a list has fewer than k
    embeddings:  the embeddings of all images in order, block by block: (index of a block's first image, floats
                 [images, size])
    size:        length of an embedding

    0 for equal images, 1 for unrelated ones; NaN with fewer than two images. NaN in an embedding counts as 0. An image
    whose embedding is 0 has no direction and is left out. With unit vectors e, the sum over pairs of e_i e_j is
    (|sum e|^2 - n) / 2, so one sum of vectors per unit is enough.
    """
    total = [np.zeros((len(image), size)) for image in lists]
    count = [np.zeros(len(image)) for image in lists]
    named = [_by_image(image) for image in lists]
    for first, block in embeddings:
        vectors = np.nan_to_num(block.astype(np.float64))
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        directions = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
        for layer, (images, units) in enumerate(named):
            start, stop = np.searchsorted(images, [first, first + len(block)])
            rows, to = images[start:stop] - first, units[start:stop]
            np.add.at(total[layer], to, directions[rows])
            np.add.at(count[layer], to, length[rows, 0] > 0)
    return [_mean_distance(sums, n) for sums, n in zip(total, count, strict=True)]


def mean_over_rulers(distances: list[list[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """Return for each layer the units' mean visual diversity over several embeddings (rulers), float32 [units].

    distances: the result of `visual_diversity` for each embedding. NaN is left out of the mean, and is the result where
    no embedding has a value.
    """
    means = []
    for by_ruler in zip(*distances, strict=True):
        values = np.stack(by_ruler).astype(np.float64)
        is_defined = ~np.isnan(values)
        total, count = np.where(is_defined, values, 0).sum(0), is_defined.sum(0)
        means.append(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0).astype(np.float32))
    return means


def _by_image(image: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the entries of a layer's top lists, ordered by image: their images, ascending, and their units."""
    unit, rank = np.nonzero(image >= 0)
    order = np.argsort(image[unit, rank], kind="stable")
    return image[unit, rank][order], unit[order]


def _mean_distance(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float32]:
    pairs = count * (count - 1)
    similarity = np.divide((total**2).sum(1) - count, pairs, out=np.full_like(count, np.nan), where=pairs > 0)
    distance: NDArray[np.float32] = np.maximum(1 - similarity, 0).astype(np.float32)
    return distance
