"""The concepts of a store's dissection: their names, the counts of every layer, and the best concept of each unit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.concepts import Concepts, LayerConcepts
from shapebias.core.store import schema
from shapebias.core.store.errors import damaged
from shapebias.core.store.reader import Store


def read_concepts(store: Store) -> Concepts | None:
    """Return the concepts of a store's dissection; None where no units were dissected, or where the concepts of joined
    stores differ.

    Raises StoreError where the store is damaged.
    """
    if not store.has(schema.CONCEPTS):
        return None
    facts = store.attributes_of(schema.CONCEPTS)
    try:
        names, category, categories = (tuple(facts[key]) for key in ("names", "category", "categories"))
        texts = all(isinstance(name, str) for name in names + categories)
        if not texts or len(names) != len(category) or not set(category) <= set(range(len(categories))):
            raise ValueError("concepts and categories do not match")
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(store.path, "its concepts and their categories do not match", schema.CONCEPTS) from error
    return Concepts(names, category, categories)


def was_dissected(store: Store, model: str, layer: str) -> bool:
    """Return whether the units of a layer were dissected."""
    return store.layer_has(model, layer, "concepts/label")


def layer_concepts(store: Store, concepts: Concepts, model: str, layer: str) -> LayerConcepts:
    """Return for every unit of a layer and every category the best concept, with its pixel counts.

    `concepts` are those of the store. Raises StoreError where the counts are missing or inconsistent.
    """
    shape = [store.layers(model)[layer].units, len(concepts.categories)]
    label, intersection, activation, truth = (
        store.layer_read(model, layer, f"concepts/{name}", shape=shape)
        for name in ("label", "intersection", "activation", "truth")
    )
    if label.size and not -1 <= label.min() <= label.max() < len(concepts):
        raise damaged(store.path, "a label that is no concept", f"{model}/{layer}/concepts")
    return LayerConcepts(
        label=label.astype(np.int32),
        intersection=intersection.astype(np.int64),
        activation=activation.astype(np.int64),
        truth=truth.astype(np.int64),
    )


def unit_concepts(store: Store, model: str, layer: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the best concept of every unit of a layer, and the category of that concept.

    Both are texts (object [units]), empty for a unit without one and where the layer was not dissected. Raises
    StoreError where the store is damaged.
    """
    owner, label = store.owner(model)  # joined stores may have different concepts
    concepts = read_concepts(owner)
    if concepts is None or not was_dissected(owner, label, layer):
        nothing = np.full(owner.layers(label)[layer].units, "", object)
        return nothing, nothing
    counts = layer_concepts(owner, concepts, label, layer)
    return (
        np.array([concepts.names[index] if index >= 0 else "" for index in counts.concept], object),
        np.array([concepts.categories[index] if index >= 0 else "" for index in counts.best], object),
    )
