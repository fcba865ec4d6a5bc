"""Several stores as one: the models of the first, then those of the next."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.store import schema
from shapebias.core.store.opening import open_store
from shapebias.core.store.ragged import Ragged
from shapebias.core.store.reader import Store, TopImages, Unit

_MODELS = "models/"


class JoinedStore(Store):
    """The models of several stores. A label that an earlier store has, too, gets its own store's name: `demo-s@b`.

    The images of a store come after those of the stores before it, in one numbering, so that an image's number says
    whose it is. What concerns a model is read from its store; `plain` gives both.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.path = stores[0].path
        self.attributes = stores[0].attributes
        self._own: dict[str, tuple[int, str]] = {}
        self._stores = list(stores)
        for number, store in enumerate(stores):
            for label in store.models:
                self._own[self._free_label(label, Path(store.path).stem)] = (number, label)
        self.models = {shown: stores[number].models[label] for shown, (number, label) in self._own.items()}

    def _free_label(self, label: str, name: str) -> str:
        if label not in self._own:
            return label
        named = f"{label}@{name}"
        numbered = (f"{named}-{number}" for number in range(2, len(self._stores) + 2))
        return named if named not in self._own else next(each for each in numbered if each not in self._own)

    @property
    def parts(self) -> list[tuple[Store, dict[str, str]]]:
        found: list[tuple[Store, dict[str, str]]] = [(store, {}) for store in self._stores]
        for shown, (number, label) in self._own.items():
            found[number][1][label] = shown
        return found

    def plain(self, model: str) -> tuple[Store, str]:
        number, label = self._own[model]
        return self._stores[number], label

    # Paths: below models/ they are of one store; others only where all stores agree

    def _at(self, path: str) -> tuple[Store, str]:
        model, slash, rest = path.removeprefix(_MODELS).partition("/")
        if not path.startswith(_MODELS) or model not in self._own:
            return self._stores[0], path
        store, label = self.plain(model)
        return store, f"{_MODELS}{label}{slash}{rest}"

    def has(self, path: str) -> bool:
        if path.startswith(_MODELS):
            store, own = self._at(path)
            return store.has(own)
        return all(store.has(path) for store in self._stores) and self._agree(path)

    def _agree(self, path: str) -> bool:
        names = [store.attributes_of(path).get("names") for store in self._stores]
        return all(each == names[0] for each in names)

    def attributes_of(self, path: str) -> dict[str, Any]:
        store, own = self._at(path)
        return store.attributes_of(own)

    def array(self, path: str, shape: Sequence[int | None] | None = None) -> "zarr.Array[Any]":
        store, own = self._at(path)
        return store.array(own, shape)

    def read(self, path: str, *selection: Any, shape: Sequence[int | None] | None = None) -> NDArray[Any]:
        store, own = self._at(path)
        return store.read(own, *selection, shape=shape)

    def ragged(self, path: str) -> Ragged:
        store, own = self._at(path)
        return store.ragged(own)

    # Images

    @cached_property
    def _first(self) -> list[int]:
        """The number of each store's first image, and of the one after the last."""
        return [0, *np.cumsum([len(store.image_paths) for store in self._stores]).tolist()]

    def _image(self, image: int) -> tuple[Store, int]:
        number = int(np.searchsorted(self._first[1:-1], image, side="right"))
        return self._stores[number], image - self._first[number]

    @cached_property
    def image_paths(self) -> list[bytes]:
        return [path for store in self._stores for path in store.image_paths]

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """int32 [images]: index into `class_names`, all stores' one after another."""
        sizes = np.cumsum([0, *(len(store.class_names) for store in self._stores)])
        parts = [
            np.where(store.labels >= 0, store.labels + size, -1)
            for store, size in zip(self._stores, sizes, strict=False)
        ]
        return np.concatenate(parts).astype(np.int32)

    @property
    def class_names(self) -> list[str]:
        return [name for store in self._stores for name in store.class_names]

    @property
    def skipped(self) -> list[dict[str, str]]:
        return [each for store in self._stores for each in store.skipped]

    def image_name(self, image: int) -> str:
        store, own = self._image(image)
        return store.image_name(own)

    def class_of(self, image: int) -> str:
        store, own = self._image(image)
        return store.class_of(own)

    def find_thumbnail(self, model: str, image: int) -> bytes | None:
        store, label = self.plain(model)
        return store.find_thumbnail(label, image - self._first[self._own[model][0]])

    # Models, layers, units

    def cue_conflict(self, model: str) -> Decisions | None:
        store, label = self.plain(model)
        return store.cue_conflict(label)

    def layers(self, model: str) -> dict[str, schema.Layer]:
        store, label = self.plain(model)
        return store.layers(label)

    def metric_names(self, model: str, layer: str) -> list[str]:
        store, label = self.plain(model)
        return store.metric_names(label, layer)

    def top(self, unit: Unit) -> TopImages:  # type: ignore[override]  # the plain one is cached, by this one, too
        store, label = self.plain(unit.model)
        top = store.top(Unit(label, unit.layer, unit.index))
        first = self._first[self._own[unit.model][0]]
        return TopImages(top.value, (top.image + first).astype(np.int32), top.position, top.map)

    def top_lists(self, model: str, layer: str, name: str) -> NDArray[Any]:
        store, label = self.plain(model)
        lists = store.top_lists(label, layer, name)
        return np.where(lists >= 0, lists + self._first[self._own[model][0]], -1) if name == "image" else lists

    def activations(self, model: str, layer: str, kind: str) -> "zarr.Array[Any]":
        """Rows are the images of the model's own store."""
        store, label = self.plain(model)
        return store.activations(label, layer, kind)

    def activation_column(self, unit: Unit, most: int, block: int) -> NDArray[np.float16]:
        store, label = self.plain(unit.model)
        return store.activation_column(Unit(label, unit.layer, unit.index), most, block)


def open_stores(places: Sequence[Path | str]) -> Store:
    """Opens one store, or several as one, each once, by path or URL. Raises StoreError."""
    stores = {store.identity: store for store in map(open_store, places)}
    return next(iter(stores.values())) if len(stores) == 1 else JoinedStore(list(stores.values()))
