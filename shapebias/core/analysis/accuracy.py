"""Accuracies of a store's models: on the probe images, on distorted and attacked ones, and on variants of them."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store.errors import damaged
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

CLEAN = "clean"
_NEAR = 0.1  # an accuracy at most this much above chance can still count as near chance
_DECENT = 0.25  # a working network is expected to get at least this fraction of the way from chance to 1
_SIGNIFICANT = 0.05
_CERTAIN = 0.001


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A model's top-1 accuracy under one condition.

    kind:       `clean`, `distortion`, `attack` or `variant`
    condition:  `clean`, or the name of the distortion, attack (`l2 3`) or variant
    accuracy:   the fraction of `images` that are classified correctly; NaN where there are none
    images:     how many images it is over: of those with a known right class, the ones that the caller asked for
    """

    model: str
    kind: str
    condition: str
    accuracy: float
    images: int


def accuracies(store: Store, all_right: bool = False) -> list[Accuracy]:
    """Return all accuracies in a store, in the order of models and conditions.

    With `all_right`, only over the probe images that every model of the store (of each joined store) classifies
    correctly when they are clean (the restriction of Chen, Agarwal & Nguyen 2020); variants, which are other images,
    are then left out. Models without decisions have none. Raises StoreError.
    """
    return [
        replace(accuracy, model=part.labels[accuracy.model])
        for part in store.parts
        for accuracy in _in_single_store(part.store, all_right)
    ]


def _in_single_store(store: Store, all_right: bool) -> list[Accuracy]:
    decisions = {model: clean_decisions(store, model) for model in store.models}
    labelled = {model: pair for model, pair in decisions.items() if len(pair[1])}
    right = {model: (target >= 0) & (decision == target) for model, (decision, target) in labelled.items()}
    common = np.logical_and.reduce(list(right.values())) if right else np.zeros(0, bool)
    result: list[Accuracy] = []
    for model, (_, target) in decisions.items():
        if not len(target):
            continue
        counted = common if all_right else target >= 0
        outcomes = [("clean", CLEAN, right[model], counted)]
        for name, decided in distorted_decisions(store, model).items():
            outcomes.append(("distortion", name, decided == target, counted & (decided >= 0)))
        for name, withstood in _attacked(store, model).items():
            outcomes.append(("attack", name, withstood, counted))
        for kind, condition, is_right, is_counted in outcomes:
            images = int(is_counted.sum())
            accuracy = float(is_right[is_counted].mean()) if images else float("nan")
            result.append(Accuracy(model=model, kind=kind, condition=condition, accuracy=accuracy, images=images))
        if not all_right:
            result += _variants(store, model)
    return result


def clean_decisions(store: Store, model: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return a model's decisions for the probe images of a single (not joined) store, and the right ones.

    Both are int32 [images], numbers of the model's outputs; -1 stands for none. Both are empty where the model has no
    outputs for classes. Raises StoreError where the store is damaged.
    """
    images = [len(store.labels)]
    if not store.has(f"models/{model}/decision"):
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    decision, target = (store.read(f"models/{model}/{name}", shape=images) for name in ("decision", "target"))
    return decision.astype(np.int32), target.astype(np.int32)


def distorted_decisions(store: Store, model: str) -> dict[str, NDArray[np.int32]]:
    """Return a model's decisions for the probe images of a single (not joined) store, by the distortion's name.

    They are int32 [images], numbers of the model's outputs; -1 where the image was not distorted in this way. Empty
    without the distortions pass. Raises StoreError where the store is damaged.
    """
    path = f"models/{model}/distortions"
    if not store.has(path):
        return {}
    names = store.attributes_of(path).get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise damaged(store.path, "the names of its distortions are not text", path)
    return {name: store.read(f"{path}/{name}", shape=[len(store.labels)]).astype(np.int32) for name in names}


def _attacked(store: Store, model: str) -> dict[str, NDArray[np.bool_]]:
    """Return which images a model classifies correctly in spite of each attack, bool [images], by the attack's name."""
    path = f"models/{model}/adversarial"
    if not store.has(path):
        return {}
    try:
        names = [f"{attack['norm']} {attack['epsilon']:.4g}" for attack in store.attributes_of(path)["attacks"]]
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(store.path, "its attacks lack a norm or an epsilon", path) from error
    right = store.read(f"{path}/right", shape=[len(names), len(store.labels)]) > 0
    return {printable(name): row for name, row in zip(names, right, strict=True)}


def _variants(store: Store, model: str) -> list[Accuracy]:
    try:
        return [
            Accuracy(
                model=model,
                kind="variant",
                condition=printable(variant["name"]),
                accuracy=variant["correct"] / variant["labelled"] if variant["labelled"] else float("nan"),
                images=int(variant["labelled"]),
            )
            for variant in store.models[model].variants
        ]
    except (KeyError, TypeError) as error:
        raise damaged(store.path, f"the variants of {model} lack numbers of images") from error


def is_near_chance(right: int, images: int, chance: float) -> bool:
    """Return whether `right` of `images` is an accuracy near `chance`, and there are enough images to say so.

    Near means: not significantly above chance, or above it by no more than chance itself (at most 0.1). Enough images
    means: a network whose accuracy is a quarter of the way from chance to 1 would hardly have so few right. Both are
    binomial tests at 5 %.
    """
    if not images:
        return False
    near = right <= (chance + min(chance, _NEAR)) * images or at_least(right, images, chance) > _SIGNIFICANT
    return near and 1 - at_least(right + 1, images, chance + _DECENT * (1 - chance)) < _SIGNIFICANT


def is_better_than(right: int, images: int, accuracy: float) -> bool:
    """Return whether `right` of `images` images show that the accuracy is above `accuracy` (binomial test, 0.1 %)."""
    return right > accuracy * images and at_least(right, images, accuracy) < _CERTAIN


def at_least(successes: int, trials: int, probability: float) -> float:
    """Return the probability of at least `successes` successes in `trials` independent trials.

    A trial succeeds with `probability` (the binomial distribution).

    >>> at_least(1, 2, 0.5)
    0.75
    """
    if successes <= 0:
        return 1.0
    if not 0 < probability < 1:
        return float(probability >= 1 and successes <= trials)
    if successes <= trials * probability:  # sum the tail that has fewer terms
        return 1 - at_least(trials - successes + 1, trials, 1 - probability)
    odds = math.log(probability), math.log1p(-probability)
    logs = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * odds[0]
        + (trials - count) * odds[1]
        for count in range(successes, trials + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))
