"""Parses the target typed after `/`: `42`, `conv5`, `conv5/42`, `AlexNet/conv5/42`, a colon before it or not."""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.store.reader import Store
from shapebias.core.units.table import UnitTable
from shapebias.tui.widgets.layer_list import LayerKey


def find_place(store: Store, text: str, model: str) -> tuple[LayerKey, int | None]:
    """Return the layer that a text names, and the index of the unit in it where it names one.

    Where the text names no model, `model` is looked through before the others. Raises UsageError that says what there
    is.
    """
    name = text.strip().removeprefix(":").strip()
    parts = name.split("/")
    if len(parts) > 2:
        unit = store.unit(name)
        return (unit.model, unit.layer), unit.index
    if parts[0] in store.models and not (len(parts) == 2 and parts[0] in store.layers(model)):
        layers = list(store.layers(parts[0]))
        return (parts[0], store.check_layer(parts[0], parts[1]) if len(parts) == 2 else layers[0]), None
    layer = _find_layer(store, parts[0], model)
    return layer, store.unit("/".join((*layer, parts[1]))).index if len(parts) == 2 else None


def _find_layer(store: Store, name: str, model: str) -> LayerKey:
    """Return the first layer of that name, or of that module, in `model` or else in another model."""
    for label in (model, *store.models):
        with suppress(UsageError):
            return label, store.check_layer(label, name)
    return model, store.check_layer(model, name)  # raises: it says what there is


def find_number(numbers: NDArray[np.int32], wanted: str, start: int, step: int) -> int | None:
    """Return the position in `numbers` of the number `wanted`, else of one that contains these digits.

    It is the first one from `start` on in the direction of `step` (1 or -1), and around; None where there is none.
    """
    positions = np.flatnonzero(numbers == int(wanted)).tolist() if len(wanted) < 10 else []
    if not positions:
        positions = [position for position, number in enumerate(numbers.tolist()) if wanted in str(number)]
    return min(positions, key=lambda position: (position - start) * step % len(numbers), default=None)


def words_of(store: Store, table: UnitTable) -> list[str]:
    """Return what is known of each unit of a table in words, in lower case, one text a row: its layer, its concept, the
    class of its strongest image. Raises StoreError."""
    concepts = table.columns.get("concept", np.full(len(table), "", object))
    classes: list[str] = []
    for position, (model, layer) in enumerate(table.layers):
        strongest = store.top_lists(model, layer, "image")[:, :1]
        units = table.index[table.layer == position]
        images = strongest[units, 0].tolist() if strongest.shape[1] else [-1] * len(units)
        classes += [store.class_of(image) if image >= 0 else "" for image in images]
    names = ["/".join(table.layers[layer]) for layer in table.layer.tolist()]
    return [" ".join(words).casefold() for words in zip(names, concepts.tolist(), classes, strict=True)]


def find_word(words: list[str], rows: NDArray[np.int64], wanted: str, start: int, step: int) -> int | None:
    """Return the position in `rows` (of `words`) of a row that contains `wanted`, chosen as `find_number` does."""
    wanted = wanted.casefold()
    positions = [position for position, row in enumerate(rows.tolist()) if wanted in words[row]]
    return min(positions, key=lambda position: (position - start) * step % len(rows), default=None)
