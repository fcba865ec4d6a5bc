"""What a store knows of its dissection: every unit's best concepts, the detectors by category, the tally as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.concepts import DETECTOR, Concepts, LayerConcepts
from shapebias.core.store import schema
from shapebias.core.store.reader import Store, StoreError, Unit
from shapebias.core.text import aligned, printable


def read_concepts(store: Store) -> Concepts | None:
    """The concepts of a store's dissection; None where there was none. Raises StoreError."""
    if not store.has(schema.CONCEPTS):
        return None
    facts = store.attributes_of(schema.CONCEPTS)
    try:
        names, category, categories = (tuple(facts[key]) for key in ("names", "category", "categories"))
        texts = all(isinstance(each, str) for each in names + categories)
        if not texts or len(names) != len(category) or not set(category) <= set(range(len(categories))):
            raise ValueError("names and categories do not fit")
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{printable(str(store.path))} is damaged at {schema.CONCEPTS}: its names make no sense"
        ) from error
    return Concepts(names, category, categories)


def dissection_facts(store: Store) -> dict[str, Any] | None:
    """What was dissected on, ready for JSON: source, images, number of concepts, skipped images ({path, reason} of
    each), problems; None where nothing was. Raises StoreError."""
    concepts = read_concepts(store)
    if concepts is None:
        return None
    facts = store.attributes_of(schema.CONCEPTS)
    lists = {name: facts[name] if isinstance(facts.get(name), list) else [] for name in ("skipped", "problems")}
    return {"source": facts.get("source"), "images": facts.get("images"), "concepts": len(concepts), **lists}


def layer_concepts(store: Store, concepts: Concepts, model: str, layer: str) -> LayerConcepts:
    """What dissection found about a layer. Raises StoreError where that is missing or makes no sense."""
    path = f"{schema.layer_path(model, layer)}/concepts"
    shape = [store.layers(model)[layer].units, len(concepts.categories)]
    kinds = ("label", "intersection", "activation", "truth")
    label, intersection, activation, truth = (store.read(f"{path}/{kind}", shape=shape) for kind in kinds)
    if label.size and not -1 <= label.min() <= label.max() < len(concepts):
        raise StoreError(f"{printable(str(store.path))} is damaged at {path}: a label that is no concept")
    return LayerConcepts(label.astype(np.int32), *(each.astype(np.int64) for each in (intersection, activation, truth)))


def unit_concepts(store: Store, model: str, layer: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The best concept and its category for every unit, texts (object [units]), empty where there is none."""
    store, model = store.plain(model)
    concepts = read_concepts(store)
    if concepts is None or not store.has(f"{schema.layer_path(model, layer)}/concepts"):
        nothing = np.full(store.layers(model)[layer].units, "", object)
        return nothing, nothing
    found = layer_concepts(store, concepts, model, layer)
    return (
        np.array([concepts.names[each] if each >= 0 else "" for each in found.concept], object),
        np.array([concepts.categories[each] if each >= 0 else "" for each in found.best], object),
    )


def concepts_of(store: Store, unit: Unit) -> list[tuple[str, str, float]]:
    """A unit's best concept of each category, with the category and its IoU, largest first; those with none are left
    out. Empty where nothing was dissected. Raises StoreError."""
    store, model = store.plain(unit.model)
    concepts = read_concepts(store)
    if concepts is None or not store.has(f"{schema.layer_path(model, unit.layer)}/concepts"):
        return []
    found = layer_concepts(store, concepts, model, unit.layer)
    labels, scores = found.label[unit.index].tolist(), found.iou[unit.index].tolist()
    named = [
        (concepts.names[label], category, iou)
        for label, category, iou in zip(labels, concepts.categories, scores, strict=True)
        if label >= 0 and iou > 0
    ]
    return sorted(named, key=lambda each: -each[2])


@dataclass(frozen=True)
class Detectors:
    """How many units of a layer detect a concept, and how many different concepts they detect, by category."""

    model: str
    layer: str
    units: int
    detectors: dict[str, int]
    unique: dict[str, int]

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "model": self.model,
            "layer": self.layer,
            "units": self.units,
            "detectors": self.detectors,
            "unique_concepts": self.unique,
        }


def detectors_in(store: Store, model: str, layer: str) -> int | None:
    """How many units of a layer are detectors (IoU >= 0.04); None where it was not dissected. Raises StoreError."""
    if "iou" not in store.metric_names(model, layer):
        return None
    return int((store.metric(model, layer, "iou") >= DETECTOR).sum())


def count_detectors(store: Store, concepts: Concepts, pairs: Sequence[tuple[str, str]]) -> list[Detectors]:
    """Detectors (IoU >= 0.04) of each (model, layer). Raises StoreError."""
    found = []
    for model, layer in pairs:
        each = layer_concepts(store, concepts, model, layer)
        detected = each.concept[each.score >= DETECTOR]
        units = Counter(concepts.category[concept] for concept in detected)
        unique = Counter(concepts.category[concept] for concept in set(detected.tolist()))
        counts = [
            {name: int(count[index]) for index, name in enumerate(concepts.categories)} for count in (units, unique)
        ]
        found.append(Detectors(model, layer, len(each.label), *counts))
    return found


def detectors_text(found: Sequence[Detectors]) -> str:
    """A line a layer and model, the models of a layer one below the other: detectors (unique concepts) by category."""
    categories = list(found[0].detectors) if found else []
    heads = [printable(name, 24) for name in categories]
    layers = list(dict.fromkeys(each.layer for each in found))
    rows = [["layer", "model", "units", "detectors", *heads]]
    for each in sorted(found, key=lambda one: layers.index(one.layer)):
        cells = [f"{each.detectors[name]} ({each.unique[name]})" for name in categories]
        total, unique = sum(each.detectors.values()), sum(each.unique.values())
        names = [printable(each.layer, 40), printable(each.model, 40)]
        rows.append([*names, str(each.units), f"{total} ({unique})", *cells])
    return aligned(rows, left=2)


def tally_csv(concepts: Concepts, found: LayerConcepts) -> str:
    """A layer in the format of NetDissect-Lite's tally.csv: a line a unit (numbered from 1), the largest IoU first."""
    fields = ("label", "truth", "activation", "intersect", "iou")
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    heads = [f"{category}-{field}" for category in concepts.categories for field in fields]
    writer.writerow(["unit", "category", "label", "score", *heads])
    for unit in np.argsort(-found.score, kind="stable").tolist():
        best = int(found.best[unit])
        concept = int(found.concept[unit])
        cells: list[Any] = []
        for category in range(len(concepts.categories)):
            label = int(found.label[unit, category])
            counts = (int(each[unit, category]) for each in (found.truth, found.activation, found.intersection))
            cells += [concepts.names[label] if label >= 0 else "", *counts, float(found.iou[unit, category])]
        names = [concepts.categories[best], concepts.names[concept]] if best >= 0 else ["", ""]
        writer.writerow([unit + 1, *names, float(found.score[unit]), *cells])
    return output.getvalue()
