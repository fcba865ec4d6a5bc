"""The results of dissection: a unit's concepts, the number of detectors of layers by category, and the tally as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shapebias.core.concepts import DETECTOR, PUBLISHED, Concepts, LayerConcepts
from shapebias.core.store import schema
from shapebias.core.store.concepts import layer_concepts, read_concepts, was_dissected
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import aligned, printable


def dissection_facts(store: Store) -> dict[str, Any] | None:
    """Return the facts about the dissection, ready for JSON; None where there was none. Raises StoreError.

    They are the source, the number of images and of concepts, which images counted for a unit (one of IOU_AREAS), the
    skipped images ({path, reason} for each), and `problems`: lines about data that could not be used.
    """
    concepts = read_concepts(store)
    if concepts is None:
        return None
    facts = store.attributes_of(schema.CONCEPTS)
    lists = {name: facts[name] if isinstance(facts.get(name), list) else [] for name in ("skipped", "problems")}
    area = facts.get("iou_area", PUBLISHED)  # the only kind that early stores have
    summary = {"source": facts.get("source"), "images": facts.get("images"), "concepts": len(concepts)}
    return summary | {"iou_area": area} | lists


def concepts_of(store: Store, unit: Unit) -> list[tuple[str, str, float]]:
    """Return a unit's best concept of each category as (concept, category, IoU), the largest IoU first.

    Categories without a concept that overlaps are left out. Empty where the layer was not dissected. Raises StoreError.
    """
    owner, label = store.owner(unit.model)  # joined stores may have different concepts
    concepts = read_concepts(owner)
    if concepts is None or not was_dissected(owner, label, unit.layer):
        return []
    counts = layer_concepts(owner, concepts, label, unit.layer)
    indices, overlaps = counts.label[unit.index].tolist(), counts.iou[unit.index].tolist()
    named = [
        (concepts.names[index], category, iou)
        for index, category, iou in zip(indices, concepts.categories, overlaps, strict=True)
        if index >= 0 and iou > 0
    ]
    return sorted(named, key=lambda concept: -concept[2])


@dataclass(frozen=True, kw_only=True)
class Detectors:
    """The number of units of a layer that are detectors, and of different concepts that they detect.

    units:      number of units in the layer
    undecided:  number of units that cannot be classified (see `LayerConcepts`)
    detectors:  number of detectors by category
    unique:     number of different concepts detected, by category
    """

    model: str
    layer: str
    units: int
    undecided: int
    detectors: dict[str, int]
    unique: dict[str, int]

    def to_record(self) -> dict[str, Any]:
        """Return the fields, ready for JSON; `unique` is called `unique_concepts`."""
        return {
            "model": self.model,
            "layer": self.layer,
            "units": self.units,
            "undecided": self.undecided,
            "detectors": self.detectors,
            "unique_concepts": self.unique,
        }


def detectors_in(store: Store, model: str, layer: str) -> int | None:
    """Return how many units of a layer are detectors (IoU >= 0.04); None where it was not dissected.

    Raises StoreError where the store is damaged.
    """
    if "iou" not in store.metric_names(model, layer):
        return None
    return int((store.metric(model, layer, "iou") >= DETECTOR).sum())


def count_detectors(store: Store, concepts: Concepts, pairs: Sequence[tuple[str, str]]) -> list[Detectors]:
    """Return the numbers of detectors (IoU >= 0.04) of each (model, layer) in `pairs`. Raises StoreError.

    A unit counts in the category of its best concept only.
    """
    return [_count(concepts, model, layer, layer_concepts(store, concepts, model, layer)) for model, layer in pairs]


def _count(concepts: Concepts, model: str, layer: str, counts: LayerConcepts) -> Detectors:
    detected = counts.concept[counts.score >= DETECTOR].tolist()
    return Detectors(
        model=model,
        layer=layer,
        units=len(counts.label),
        undecided=int(counts.undecided.sum()),
        detectors=_by_category(concepts, detected),
        unique=_by_category(concepts, set(detected)),
    )


def _by_category(concepts: Concepts, indices: Iterable[int]) -> dict[str, int]:
    """Return by category how many of the concepts with these `indices` belong to it; repeated ones count repeatedly."""
    counts = Counter(concepts.category[index] for index in indices)
    return {name: counts[number] for number, name in enumerate(concepts.categories)}


def detectors_text(layers: Sequence[Detectors]) -> str:
    """Return a table with one line per layer and model: the number of detectors (and of unique concepts) by category.

    The models with a layer of one name are below each other.
    """
    categories = list(layers[0].detectors) if layers else []
    heads = [printable(name, 24) for name in categories]
    order = list(dict.fromkeys(layer.layer for layer in layers))
    rows = [["layer", "model", "units", "undecided", "detectors", *heads]]
    for layer in sorted(layers, key=lambda layer: order.index(layer.layer)):
        cells = [f"{layer.detectors[name]} ({layer.unique[name]})" for name in categories]
        total, unique = sum(layer.detectors.values()), sum(layer.unique.values())
        names = [printable(layer.layer, 40), printable(layer.model, 40)]
        rows.append([*names, str(layer.units), str(layer.undecided), f"{total} ({unique})", *cells])
    return aligned(rows, left=2)


def tally_csv(concepts: Concepts, counts: LayerConcepts) -> str:
    """Return a layer's concepts in the format of NetDissect-Lite's tally.csv: one line per unit, the largest IoU first.

    The table has a header. Units are numbered from 1. As in NetDissect-Lite, a unit whose IoUs are all 0 gets the first
    category that has concepts.
    """
    fields = ("label", "truth", "activation", "intersect", "iou")
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    heads = [f"{category}-{field}" for category in concepts.categories for field in fields]
    writer.writerow(["unit", "category", "label", "score", *heads])
    for unit in np.argsort(-counts.score, kind="stable").tolist():
        cells: list[Any] = []
        for category in range(len(concepts.categories)):
            label = int(counts.label[unit, category])
            pixels = (int(kind[unit, category]) for kind in (counts.truth, counts.activation, counts.intersection))
            cells += [concepts.names[label] if label >= 0 else "", *pixels, float(counts.iou[unit, category])]
        best = int(np.where(counts.label[unit] >= 0, counts.iou[unit], -1.0).argmax())
        names = [concepts.categories[best], concepts.names[int(counts.label[unit, best])]]
        writer.writerow([unit + 1, *names, float(counts.score[unit]), *cells])
    return output.getvalue()
