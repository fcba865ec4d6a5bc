"""Finds what is typed after `/`: a name such as `conv5`, `conv5/42`, `AlexNet/conv5/42`, a number, or a word.

A colon may stand before it.
"""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.store.reader import Store
from shapebias.core.units.table import UnitTable
from shapebias.tui.widgets.layer_list import LayerKey


def find_place(store: Store, text: str, model: str) -> tuple[LayerKey, int | None]:
    """Return the layer that a text names, and the index in it of the unit that it names, None where it names none.

    Where the text names no model, `model` is looked through before the others; a model alone stands for its first
    layer. Raises UsageError for a model, layer or unit that the store does not have; the message says what it has.
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
    """Return the layer with this name or module path in `model`, or else in the first other model that has one.

    Raises UsageError where no model has one; the message lists the layers of `model`.
    """
    for label in (model, *store.models):
        with suppress(UsageError):
            return label, store.check_layer(label, name)
    return model, store.check_layer(model, name)  # raises: it says what there is


def find_number(numbers: NDArray[np.int32], wanted: str, start: int, step: int) -> int | None:
    """Return the position in `numbers` of the number `wanted` (digits), else of one that contains these digits.

    Of several it is the first from the position `start` on, in the direction of `step` (1 or -1), and around. None
    where there is none.
    """
    positions = np.flatnonzero(numbers == int(wanted)).tolist() if len(wanted) < 10 else []
    if not positions:
        positions = [position for position, number in enumerate(numbers.tolist()) if wanted in str(number)]
    return min(positions, key=lambda position: (position - start) * step % len(numbers), default=None)


def words_of(store: Store, table: UnitTable) -> list[str]:
    """Return a text for each row of a table, in lower case, to be searched for words: the unit's model and layer, its
    concept, and the class of its strongest image. Raises StoreError.
    """
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
    """Return the position in `rows` of a row whose text contains `wanted`; None where there is none.

    words:  a text for each row of the whole table, in lower case
    rows:   the rows among which to look, in their order

    Of several the one is chosen that `find_number` would choose.
    """
    wanted = wanted.casefold()
    positions = [position for position, row in enumerate(rows.tolist()) if wanted in words[row]]
    return min(positions, key=lambda position: (position - start) * step % len(rows), default=None)
