"""How alike two observers err: observed and error consistency, and the difference of their accuracies.

As published: Geirhos, Meding & Wichmann 2020 (arXiv 2006.16736), Geirhos et al. 2021 (arXiv 2106.07411), and the code
of the latter (model-vs-human, plotting/analyses.py and plotting/plot.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two observers agree over the images that both saw; NaN where there are none.

    accuracy, other_accuracy:  of the one and of the other, on these images
    observed:     the share of the images for which both are right or both are wrong
    expected:     p1 p2 + (1 - p1) (1 - p2): what two independent observers of these accuracies would have
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


def agreement(right: NDArray[np.bool_], other_right: NDArray[np.bool_]) -> Agreement:
    """Return how two observers agree, from what each got right, bool [images]."""
    images = len(right)
    one, other, observed = (
        float(values.mean()) if images else math.nan for values in (right, other_right, right == other_right)
    )
    expected = one * other + (1 - one) * (1 - other)
    kappa = 1.0 if observed == 1 else (observed - expected) / (1 - expected)
    return Agreement(
        images=images,
        accuracy=one,
        other_accuracy=other,
        observed=observed,
        expected=expected,
        error_consistency=kappa,
        accuracy_difference=(one - other) ** 2,
    )


def mean_agreement(parts: Sequence[Agreement], images: int) -> Agreement:
    """Return the unweighted mean of some, over those with images; `images` is what to say of their number.

    So the published means are made: over conditions, then over people, then over sets.
    """
    known = [part for part in parts if part.images]
    if not known:
        return agreement(np.zeros(0, bool), np.zeros(0, bool))
    names = [field.name for field in fields(Agreement) if field.name != "images"]
    return Agreement(
        images=images, **{name: math.fsum(getattr(part, name) for part in known) / len(known) for name in names}
    )
