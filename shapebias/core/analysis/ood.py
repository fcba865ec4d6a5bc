"""The models' decisions for sets of stimuli in a store, and their accuracies."""

import math
import os
from dataclasses import dataclass
from typing import Any

from shapebias.core.ood.decisions import SetDecisions
from shapebias.core.ood.stimuli import NO_CONDITION, condition_names
from shapebias.core.store import schema
from shapebias.core.store.errors import damaged
from shapebias.core.store.reader import Store
from shapebias.core.text import printable


@dataclass(frozen=True, kw_only=True)
class SetAccuracy:
    """A model's accuracy among the categories of a set of stimuli.

    images:    how many images count: those under conditions that enter the set's means
    accuracy:  the fraction of right decisions among them; NaN without images
    stimuli:   how images were prepared, `native` or `model`; empty where unknown
    """

    set_name: str
    images: int
    accuracy: float
    stimuli: str


def ood_decisions(store: Store, model: str) -> dict[str, SetDecisions]:
    """Return a model's decisions for sets of stimuli, by the set's name; empty without any. Raises StoreError."""
    single, label = store.owner(model)
    if not single.has(schema.OOD):
        return {}
    names = single.attributes_of(schema.OOD).get("names")
    if not isinstance(names, list) or not all(map(schema.is_safe_name, names)):
        raise damaged(single.path, "the names of its sets are not names of folders", schema.OOD)
    return {name: _decisions(single, label, name) for name in names if single.has(f"{schema.ood_path(label)}/{name}")}


def _decisions(store: Store, model: str, name: str) -> SetDecisions:
    path = f"{schema.OOD}/{name}"
    images = [os.fsdecode(image) for image in store.ragged(f"{path}/path").all()]
    category, condition, decision = (
        store.read(array, shape=[len(images)]).astype("int32")
        for array in (f"{path}/category", f"{path}/condition", f"{schema.ood_path(model)}/{name}")
    )
    try:
        facts = schema.OodImages.from_attributes(store.attributes_of(path))
        if not all(map(schema.is_safe_name, facts.categories)):
            raise ValueError("a name that shapebias would not write")
        if len(condition) and not NO_CONDITION <= condition.min() <= condition.max() < len(facts.conditions):
            raise ValueError("a condition that does not exist")
        return SetDecisions(
            categories=facts.categories,
            images=images,
            conditions=condition_names(facts.conditions, condition),
            category=category,
            decision=decision,
            stimuli=facts.stimuli,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(store.path, printable(str(error), 120), path) from error


def ood_accuracies(store: Store, model: str) -> list[SetAccuracy]:
    """Return a model's accuracy on each set of stimuli. Raises StoreError."""
    return [
        SetAccuracy(
            set_name=name,
            images=len(decided.counted(name)),
            accuracy=decided.accuracy(name),
            stimuli=decided.stimuli,
        )
        for name, decided in ood_decisions(store, model).items()
    ]


def mean_accuracy(accuracies: list[SetAccuracy]) -> float:
    """Return the unweighted mean of the accuracies on sets, as published; NaN without sets."""
    return math.fsum(row.accuracy for row in accuracies) / len(accuracies) if accuracies else math.nan


def ood_record(store: Store, model: str) -> dict[str, Any] | None:
    """Return a model's accuracies by set of stimuli and their mean, ready for JSON; None without sets.

    Raises StoreError.
    """
    accuracies = ood_accuracies(store, model)
    if not accuracies:
        return None
    sets = {
        printable(row.set_name): {"images": row.images, "accuracy": row.accuracy, "stimuli": row.stimuli}
        for row in accuracies
    }
    return {"mean": mean_accuracy(accuracies), "sets": sets}


def ood_sentence(record: dict[str, Any]) -> str:
    """Return the contents of `ood_record` in one line: `OOD accuracy 0.4376: edge 0.3563 (160), silhouette 0.5188
    (160), native stimuli`.
    """
    sets = [f"{name} {facts['accuracy']:.4f} ({facts['images']:,})" for name, facts in record["sets"].items()]
    stimuli = "/".join(dict.fromkeys(printable(facts["stimuli"]) for facts in record["sets"].values()))
    return f"OOD accuracy {record['mean']:.4f}: {', '.join(sets)}, {stimuli} stimuli"
