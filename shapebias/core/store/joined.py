"""Several stores read as one: the models of the first store, then those of the next."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.store import schema
from shapebias.core.store.attribution import Attribution
from shapebias.core.store.layout import ArrayPart, LayerArray
from shapebias.core.store.opening import open_store
from shapebias.core.store.ragged import Ragged
from shapebias.core.store.reader import Owner, Part, Store, TopImages, Unit

_MODELS = "models/"


class JoinedStore(Store):
    """The models of several stores, in the order of the stores.

    A label that an earlier store has too gets the name of its own store added: `demo-s@b`. The images of all stores are
    numbered one store after the other, so an image's number says which store it is in; classes are numbered likewise.
    Everything about a model is read from the store that holds it. `Store` documents the methods.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.path = stores[0].path
        self.attributes = stores[0].attributes
        self._stores = list(stores)
        self._owners: dict[str, tuple[int, str]] = {}  # by label here: its store's number, its label there
        for number, store in enumerate(stores):
            for label in store.models:
                self._owners[self._free_label(label, Path(store.path).stem)] = (number, label)
        self.models = {
            joined_label: stores[number].models[label] for joined_label, (number, label) in self._owners.items()
        }

    def _free_label(self, label: str, name: str) -> str:
        return next(free for free in self._labels(label, name) if free not in self._owners)

    def _labels(self, label: str, name: str) -> Iterator[str]:
        """Yield the labels to try for a model of the store called `name`, best first."""
        yield label
        yield f"{label}@{name}"
        for number in range(2, len(self._stores) + 2):
            yield f"{label}@{name}-{number}"

    @property
    def parts(self) -> list[Part]:
        parts = [Part(store, {}) for store in self._stores]
        for joined_label, (number, label) in self._owners.items():
            parts[number].labels[label] = joined_label
        return parts

    def owner(self, model: str) -> Owner:
        number, label = self._owners[model]
        return Owner(self._stores[number], label)

    def _owner_of(self, unit: Unit) -> tuple[Store, Unit]:
        store, label = self.owner(unit.model)
        return store, Unit(label, unit.layer, unit.index)

    # Groups and arrays: those below models/ are in one store. Others exist only where all stores have them, with the
    # same `names` among their attributes; they are read from the first store.

    def _path_in_owner(self, path: str) -> tuple[Store, str]:
        model, slash, rest = path.removeprefix(_MODELS).partition("/")
        if not path.startswith(_MODELS) or model not in self._owners:
            return self._stores[0], path
        store, label = self.owner(model)
        return store, f"{_MODELS}{label}{slash}{rest}"

    def has(self, path: str) -> bool:
        if path.startswith(_MODELS):
            store, own_path = self._path_in_owner(path)
            return store.has(own_path)
        return all(store.has(path) for store in self._stores) and self._agree(path)

    def _agree(self, path: str) -> bool:
        names = [store.attributes_of(path).get("names") for store in self._stores]
        return all(others == names[0] for others in names)

    def attributes_of(self, path: str) -> dict[str, Any]:
        store, own_path = self._path_in_owner(path)
        return store.attributes_of(own_path)

    def array(self, path: str, shape: Sequence[int | None] | None = None) -> "zarr.Array[Any]":
        store, own_path = self._path_in_owner(path)
        return store.array(own_path, shape)

    def read(self, path: str, *selection: Any, shape: Sequence[int | None] | None = None) -> NDArray[Any]:
        store, own_path = self._path_in_owner(path)
        return store.read(own_path, *selection, shape=shape)

    def ragged(self, path: str) -> Ragged:
        store, own_path = self._path_in_owner(path)
        return store.ragged(own_path)

    def layer_has(self, model: str, layer: str, name: str) -> bool:
        store, label = self.owner(model)
        return store.layer_has(label, layer, name)

    def layer_array(self, model: str, layer: str, name: str, shape: Sequence[int | None] | None = None) -> LayerArray:
        store, label = self.owner(model)
        return store.layer_array(label, layer, name, shape)

    def layer_read(
        self, model: str, layer: str, name: str, *selection: Any, shape: Sequence[int | None] | None = None
    ) -> NDArray[Any]:
        store, label = self.owner(model)
        return store.layer_read(label, layer, name, *selection, shape=shape)

    # Images

    @cached_property
    def _first_images(self) -> list[int]:
        """The number of each store's first image here, and at the end the number of all images."""
        return [0, *np.cumsum([len(store.image_paths) for store in self._stores]).tolist()]

    def _first_image_of(self, model: str) -> int:
        """Return the number here of the first image of a model's own store."""
        return self._first_images[self._owners[model][0]]

    def _image_in_owner(self, image: int) -> tuple[Store, int]:
        number = int(np.searchsorted(self._first_images[1:-1], image, side="right"))
        return self._stores[number], image - self._first_images[number]

    @cached_property
    def image_paths(self) -> list[bytes]:
        return [path for store in self._stores for path in store.image_paths]

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        first_classes = np.cumsum([0, *(len(store.class_names) for store in self._stores[:-1])])
        labels = [
            np.where(store.labels >= 0, store.labels + first_class, -1)
            for store, first_class in zip(self._stores, first_classes, strict=True)
        ]
        return np.concatenate(labels).astype(np.int32)

    @property
    def class_names(self) -> list[str]:
        return [name for store in self._stores for name in store.class_names]

    @property
    def skipped(self) -> list[dict[str, str]]:
        return [image for store in self._stores for image in store.skipped]

    def image_name(self, image: int) -> str:
        store, own_image = self._image_in_owner(image)
        return store.image_name(own_image)

    def class_of(self, image: int) -> str:
        store, own_image = self._image_in_owner(image)
        return store.class_of(own_image)

    def find_thumbnail(self, model: str, image: int) -> bytes | None:
        store, label = self.owner(model)
        return store.find_thumbnail(label, image - self._first_image_of(model))

    def cue_conflict(self, model: str) -> Decisions | None:
        store, label = self.owner(model)
        return store.cue_conflict(label)

    def attribution(self, model: str) -> Attribution | None:
        store, label = self.owner(model)
        attribution = store.attribution(label)
        return (
            None if attribution is None else replace(attribution, image=attribution.image + self._first_image_of(model))
        )

    # Layers and units

    def layers(self, model: str) -> dict[str, schema.Layer]:
        store, label = self.owner(model)
        return store.layers(label)

    def metric_names(self, model: str, layer: str) -> list[str]:
        store, label = self.owner(model)
        return store.metric_names(label, layer)

    def metric(self, model: str, layer: str, name: str) -> NDArray[np.float32]:
        store, label = self.owner(model)
        return store.metric(label, layer, name)

    def metric_part(self, model: str, layer: str, name: str) -> ArrayPart:
        store, label = self.owner(model)
        return store.metric_part(label, layer, name)

    def top(self, unit: Unit) -> TopImages:
        store, own_unit = self._owner_of(unit)
        top = store.top(own_unit)
        return replace(top, image=(top.image + self._first_image_of(unit.model)).astype(np.int32))

    def top_lists(self, model: str, layer: str, name: str) -> NDArray[Any]:
        store, label = self.owner(model)
        lists = store.top_lists(label, layer, name)
        return np.where(lists >= 0, lists + self._first_image_of(model), -1) if name == "image" else lists

    def activations(self, model: str, layer: str, kind: str) -> LayerArray:
        store, label = self.owner(model)
        return store.activations(label, layer, kind)

    def activation_column(self, unit: Unit, most: int, block: int) -> NDArray[np.float16]:
        store, own_unit = self._owner_of(unit)
        return store.activation_column(own_unit, most, block)


def open_stores(paths: Sequence[Path | str]) -> Store:
    """Open one or several stores by path or URL; several are read as one. A store named twice counts once.

    Raises the errors of `open_store`.
    """
    stores = {store.identity: store for store in map(open_store, paths)}
    return next(iter(stores.values())) if len(stores) == 1 else JoinedStore(list(stores.values()))
