"""The similarity of two observers' errors: observed and error consistency, and the difference of their accuracies.

As published: Geirhos, Meding & Wichmann 2020 (arXiv 2006.16736), Geirhos et al. 2021 (arXiv 2106.07411), and the code
of the latter (model-vs-human, plotting/analyses.py and plotting/plot.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]  # [..., fields of an Agreement, in their order]


@dataclass(frozen=True)
class Agreement:
    """The agreement of two observers over the images that both saw; all fields but `images` are NaN where this is 0.

    Where several agreements are averaged (`mean_over`), every field is the mean of that field.

    images:               how many images both saw
    accuracy:             p1, the fraction of these images that the first observer has right
    other_accuracy:       p2, the fraction of these images that the second observer has right
    observed:             the fraction of these images for which both are right or both are wrong
    expected:             p1 p2 + (1 - p1) (1 - p2), the value of `observed` for independent observers
    error_consistency:    Cohen's kappa, (observed - expected) / (1 - expected); 1 where observed is 1
    accuracy_difference:  (p1 - p2) squared
    """

    images: int
    accuracy: float
    other_accuracy: float
    observed: float
    expected: float
    error_consistency: float
    accuracy_difference: float

    @classmethod
    def of(cls, numbers: Numbers) -> "Agreement":
        """Return the agreement whose fields are `numbers` [fields], in their order."""
        images, *others = numbers.tolist()
        return cls(int(images), *others)


def agreements(right: NDArray[np.int8]) -> Numbers:
    """Return the agreement of every two observers, float64 [first observer, second observer, fields of an Agreement].

    right int8 [observers, images]: 1 = right, 0 = wrong, negative = the observer did not see the image.
    """
    seen, hits = (right >= 0).astype(np.float64), (right > 0).astype(np.float64)
    images, both = seen @ seen.T, hits @ hits.T
    first_right = hits @ seen.T  # how many images the first has right, of those that both saw
    alike = images - first_right - first_right.T + 2 * both
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy, observed = first_right / images, alike / images
        other = accuracy.T
        expected = accuracy * other + (1 - accuracy) * (1 - other)
        kappa = np.where((alike == images) & (images > 0), 1.0, (observed - expected) / (1 - expected))
    numbers: Numbers = np.stack([images, accuracy, other, observed, expected, kappa, (accuracy - other) ** 2], axis=-1)
    return numbers


def mean_over(numbers: Numbers, images: NDArray[np.float64]) -> Numbers:
    """Return the unweighted mean over the first axis of those agreements that have images; NaN where none has.

    numbers:  [agreements, ..., fields]
    images:   [...], the numbers of images to put into the result

    The published means are computed in this way: over conditions, then over people, then over sets.
    """
    has_images = numbers[..., :1] > 0
    count = has_images.sum(0)
    total = np.where(has_images, numbers, 0).sum(0)
    mean: Numbers = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    mean[..., 0] = images
    return mean
