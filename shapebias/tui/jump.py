"""Where what is typed after `/` leads: `42`, `conv5`, `conv5/42`, `AlexNet/conv5/42`, a colon before it or not."""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.store.reader import Store
from shapebias.tui.widgets.layer_list import LayerKey


def find_place(store: Store, text: str, model: str) -> tuple[LayerKey, int | None]:
    """The layer, and the unit in it where one is named; without a model, `model` is looked through first.

    Raises UsageError that says what there is.
    """
    name = text.strip().removeprefix(":").strip()
    parts = name.split("/")
    if len(parts) > 2:
        unit = store.unit(name)
        return (unit.model, unit.layer), unit.index
    if parts[0] in store.models and not (len(parts) == 2 and parts[0] in store.layers(model)):
        layers = list(store.layers(parts[0]))
        return (parts[0], store.check_layer(parts[0], parts[1]) if len(parts) == 2 else layers[0]), None
    key = _layer(store, parts[0], model)
    return key, store.unit("/".join((*key, parts[1]))).index if len(parts) == 2 else None


def _layer(store: Store, name: str, model: str) -> LayerKey:
    """The first layer of that name, or of that module, in `model` or else in another one."""
    for label in (model, *store.models):
        with suppress(UsageError):
            return label, store.check_layer(label, name)
    return model, store.check_layer(model, name)  # raises: it says what there is


def find_number(shown: NDArray[np.int32], wanted: str, start: int, step: int) -> int | None:
    """The place in `shown` (unit numbers) of the number `wanted`, else of one that contains these digits.

    The first from `start` on in the direction of `step` (1 or -1), and around; None where there is none.
    """
    found = np.flatnonzero(shown == int(wanted)).tolist() if len(wanted) < 10 else []
    if not found:
        found = [place for place, number in enumerate(shown.tolist()) if wanted in str(number)]
    return min(found, key=lambda place: (place - start) * step % len(shown), default=None)
