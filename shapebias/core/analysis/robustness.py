"""Shape bias and accuracy out of distribution by strength of adversarial training, for published networks and those of
a store.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, NamedTuple

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.ood import ood_decisions
from shapebias.core.errors import UsageError
from shapebias.core.shape_bias.categories import sixteen_classes
from shapebias.core.shape_bias.decisions import count_decisions
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

L2, LINF = NORMS = ("l2", "linf")
SHAPE_BIAS = "shape bias"
SETS = ("silhouette", "stylized", "edge")  # sets of stimuli with accuracies among sixteen categories
VARIANTS = {"R": "ImageNet-R", "C": "ImageNet-C", "Sketch": "ImageNet-Sketch", "V2": "ImageNet-V2", "A": "ImageNet-A"}
_NUMBER = r"([0-9]{1,4}(?:\.[0-9]{1,9})?)"
_STRENGTH = re.compile(rf"l2:{_NUMBER}|linf:{_NUMBER}(/255)?")
_VARIANT = re.compile(r"(?:imagenet[-_ ]?)?(r|c|sketch|v2|a)", re.IGNORECASE)


class Strength(NamedTuple):
    """The strength of the attacks that a network was trained with.

    norm:     `l2` or `linf`
    epsilon:  the radius, for pixels in [0, 1]; for linf in 255ths of them, so that 4 means 4/255
    """

    norm: str
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network and its measurements.

    strengths:  the strengths at which it is drawn (a network of epsilon 0 has one for each norm); empty where unknown
    measures:   the shape bias and accuracies, as fractions, by name: SHAPE_BIAS, SETS and the keys of VARIANTS; without
                those that were not measured
    """

    name: str
    strengths: tuple[Strength, ...]
    measures: dict[str, float] = field(default_factory=dict)


def published_networks() -> tuple[Network, list[Network]]:
    """Return torchvision's ResNet-50, and 15 ResNet-50 that were trained elsewhere, most of them adversarially.

    The 15 are sorted by norm and strength. The numbers are those of Gavrikov & Keuper 2024, arXiv 2404.01509, CC BY-SA
    4.0, in reference/robust_resnet50.json.
    """
    text = resources.files("shapebias.core").joinpath("reference/robust_resnet50.json").read_text("utf-8")
    torchvision, *trained = (_published(facts) for facts in json.loads(text)["networks"])
    return torchvision, trained


def _published(facts: dict[str, Any]) -> Network:
    sets = {name: facts[name] / 100 for name in SETS}
    variants = {name: facts[f"imagenet_{name.lower()}"] / 100 for name in VARIANTS}
    return Network(
        name=facts["network"],
        strengths=() if facts["norm"] is None else _strengths(facts["norm"], facts["epsilon"]),
        measures={SHAPE_BIAS: facts["shape_bias"], **sets, **variants},
    )


def _strengths(norm: str, epsilon: float) -> tuple[Strength, ...]:
    return (Strength(norm, epsilon),) if epsilon else tuple(Strength(norm, 0.0) for norm in NORMS)


def parse_strengths(texts: Iterable[str], store: Store) -> dict[str, Strength]:
    """Return the strength of each model from texts `MODEL=NORM:EPSILON`, for pixels in [0, 1]: `R=l2:3` or
    `R=linf:4/255`, by the model's label.

    Raises UsageError for a text of another form, and for a model that the store does not have.
    """
    strengths = {}
    for text in texts:
        model, _, strength = text.rpartition("=")
        match = _STRENGTH.fullmatch(strength)
        if match is None:
            raise UsageError(f"--epsilon {printable(text)}: write MODEL=NORM:EPSILON, such as R=l2:3 or R=linf:4/255")
        store.check_model(model)
        l2, linf, in_255ths = match.groups()
        strengths[model] = Strength(L2, float(l2)) if l2 else Strength(LINF, float(linf) * (1 if in_255ths else 255))
    return strengths


def networks_of(store: Store, strengths: dict[str, Strength]) -> list[Network]:
    """Return the networks of a store with their measurements, without networks that have none. Raises StoreError.

    strengths: by label, the strengths of the training, as far as they are known.

    Measurements are the shape bias and the accuracies on sets, where a network decided among the sixteen categories,
    and the accuracies on variants of ImageNet, such as `R` or `imagenet-c/fog/3`; the accuracy on ImageNet-C is the
    mean over all its corruptions.
    """
    networks = [
        Network(
            name=model,
            strengths=_strengths(*strengths[model]) if model in strengths else (),
            measures=_among_sixteen(store, model) | _on_variants(store, model),
        )
        for model in store.models
    ]
    return [network for network in networks if network.measures]


def _among_sixteen(store: Store, model: str) -> dict[str, float]:
    categories = list(sixteen_classes())
    measures: dict[str, float] = {}
    conflict = store.cue_conflict(model)
    if conflict is not None and conflict.categories == categories:
        counts = count_decisions(conflict)
        measures |= {SHAPE_BIAS: counts.shape_bias} if counts.shape + counts.texture else {}
    decided = ood_decisions(store, model)
    return measures | {
        name: decided[name].accuracy(name)
        for name in SETS
        if name in decided and decided[name].categories == categories
    }


def _on_variants(store: Store, model: str) -> dict[str, float]:
    by_name: dict[str, list[float]] = {}
    for row in accuracies(store):
        match = _VARIANT.fullmatch(row.condition.split("/")[0])
        if row.model == model and row.kind == "variant" and row.images and match:
            name = next(name for name in VARIANTS if name.lower() == match[1].lower())
            by_name.setdefault(name, []).append(row.accuracy)
    return {name: _mean(values) for name, values in by_name.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
