"""The chance level of a metric: its expected value for random images in place of a unit's top images."""

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store.reader import Store

DRAWS = 2000  # the expectation's standard error is then below 0.1 for up to 1000 images


def chance_class_diversity(labels: NDArray[np.int32], count: int) -> float:
    """Return the expected effective number of classes, exp(entropy), of `count` different random images.

    labels: int32 [images], -1 for none; images without a label are drawn, too, and then left out, as in the metric
    `class_diversity`. There is no closed form, so the result is the mean over DRAWS seeded draws. It is NaN where no
    drawn image has a label.
    """
    random = np.random.default_rng(0)
    drawn = [_effective_classes(labels[_draw_subset(random, len(labels), count)]) for _ in range(DRAWS)]
    defined = [value for value in drawn if value == value]
    return float(np.mean(defined)) if defined else float("nan")


def _draw_subset(random: np.random.Generator, images: int, count: int) -> NDArray[np.int64]:
    return random.choice(images, min(count, images), replace=False, shuffle=False)


def _effective_classes(labels: NDArray[np.int32]) -> float:
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    if not len(counts):
        return float("nan")
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def class_diversity_by_chance(store: Store, model: str, layer: str) -> tuple[int, float] | None:
    """Return the length of the top lists of a layer's units, and the expected class diversity of so many random images.

    Returns None where the layer has no class diversity. Raises StoreError.
    """
    if "class_diversity" not in store.metric_names(model, layer):
        return None
    units = store.layers(model)[layer].units
    count: int = store.layer_array(model, layer, "top/image", [units, None]).shape[1]
    return count, chance_class_diversity(store.owner(model).store.labels, count)


def chance_text(chance: tuple[int, float]) -> str:
    """Return the result of `class_diversity_by_chance` as text, such as `by chance 11.4 (25 random images)`."""
    return f"by chance {chance[1]:.1f} ({chance[0]} random images)"
