"""Parses the target typed after `/`: `42`, `conv5`, `conv5/42`, `AlexNet/conv5/42`, a colon before it or not."""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.store.reader import Store
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
