"""Where a name typed by hand leads: `conv5`, `conv5/42`, `AlexNet/conv5/42`, each with or without a colon before it."""

from contextlib import suppress

from shapebias.core.errors import UsageError
from shapebias.core.store import Store
from shapebias.tui.layer_list import LayerKey


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
