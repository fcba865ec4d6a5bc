"""How accurate the models of a store are: on the probe images, distorted, attacked, and on variants of them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapebias.core.store.reader import Store, StoreError
from shapebias.core.text import printable

CLEAN = "clean"


@dataclass(frozen=True)
class Accuracy:
    """A model's top-1 accuracy under one condition, a fraction of `images` (NaN where there are none).

    kind: `clean`, `distortion`, `attack` or `variant`.
    """

    model: str
    kind: str
    condition: str
    accuracy: float
    images: int


def accuracies(store: Store, all_right: bool = False) -> list[Accuracy]:
    """Every accuracy that a store knows, in the order of models and conditions.

    With `all_right` only over the probe images that every model of the store gets right when they are clean (the
    restriction of Chen, Agarwal & Nguyen 2020); variants are other images, and are then left out. Raises StoreError.
    """
    return [
        replace(each, model=labels[each.model]) for part, labels in store.parts for each in _of_plain(part, all_right)
    ]


def _of_plain(store: Store, all_right: bool) -> list[Accuracy]:
    known = {model: clean_decisions(store, model) for model in store.models}
    right = {model: (target >= 0) & (decision == target) for model, (decision, target) in known.items() if len(target)}
    common = np.logical_and.reduce(list(right.values())) if right else np.zeros(0, bool)
    found: list[Accuracy] = []
    for model, (_, target) in known.items():
        if not len(target):
            continue
        counted = common if all_right else target >= 0
        found.append(_accuracy(model, "clean", CLEAN, right[model], counted))
        for name, decided in distorted_decisions(store, model).items():
            found.append(_accuracy(model, "distortion", name, decided == target, counted & (decided >= 0)))
        for name, withstood in _attacked(store, model).items():
            found.append(_accuracy(model, "attack", name, withstood, counted))
        if not all_right:
            found += _variants(store, model)
    return found


def _accuracy(model: str, kind: str, name: str, right: NDArray[np.bool_], counted: NDArray[np.bool_]) -> Accuracy:
    images = int(counted.sum())
    return Accuracy(model, kind, name, float(right[counted].mean()) if images else float("nan"), images)


def clean_decisions(store: Store, model: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What a model decides for the probe images, and what is right: int32 [images]; empty where it gives no scores."""
    images = [len(store.labels)]
    if not store.has(f"models/{model}/decision"):
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    decision, target = (store.read(f"models/{model}/{name}", shape=images) for name in ("decision", "target"))
    return decision.astype(np.int32), target.astype(np.int32)


def distorted_decisions(store: Store, model: str) -> dict[str, NDArray[np.int32]]:
    """What a model decides for every probe image, distorted: int32 [images], -1 = no such version of it.

    Raises StoreError.
    """
    store, model = store.plain(model)
    path = f"models/{model}/distortions"
    if not store.has(path):
        return {}
    names = store.attributes_of(path).get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise StoreError(f"{printable(str(store.path))} is damaged at {path}: its names make no sense")
    return {name: store.read(f"{path}/{name}", shape=[len(store.labels)]).astype(np.int32) for name in names}


def _attacked(store: Store, model: str) -> dict[str, NDArray[np.bool_]]:
    path = f"models/{model}/adversarial"
    if not store.has(path):
        return {}
    try:
        names = [f"{each['norm']} {each['epsilon']:.4g}" for each in store.attributes_of(path)["attacks"]]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{printable(str(store.path))} is damaged at {path}: its attacks make no sense") from error
    right = store.read(f"{path}/right", shape=[len(names), len(store.labels)]) > 0
    return {printable(name): row for name, row in zip(names, right, strict=True)}


def _variants(store: Store, model: str) -> list[Accuracy]:
    try:
        return [
            Accuracy(
                model,
                "variant",
                printable(each["name"]),
                each["correct"] / each["labelled"] if each["labelled"] else float("nan"),
                int(each["labelled"]),
            )
            for each in store.models[model].variants
        ]
    except (KeyError, TypeError) as error:
        raise StoreError(f"{printable(str(store.path))} is damaged: the variants of {model} make no sense") from error
