"""The interface for reading a store, or several joined to one.

Texts from a store are untrusted until `core.text` made them printable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.store import schema
from shapebias.core.store.attribution import Attribution
from shapebias.core.store.errors import damaged
from shapebias.core.store.layout import ArrayPart, LayerArray
from shapebias.core.store.ragged import Ragged
from shapebias.core.text import printable


@dataclass(frozen=True)
class Unit:
    """One unit, named `MODEL/LAYER/INDEX`: `index` is its number in the layer, from 0."""

    model: str
    layer: str
    index: int

    def __str__(self) -> str:
        return f"{self.model}/{self.layer}/{self.index}"


@dataclass(frozen=True)
class TopImages:
    """The images with the largest activations of one unit, largest first.

    n is the number of top images that the store keeps for a unit; fewer where there were fewer images.

    value:     float32 [n], the activation: the map's maximum
    image:     int32 [n], the number of the probe image
    position:  int32 [n, 2], (y, x) of the maximum in the map
    map:       uint8 [n, h, w], the activation map; 255 = the unit's maximum over all images, 0 = 0 or less
    """

    value: NDArray[np.float32]
    image: NDArray[np.int32]
    position: NDArray[np.int32]
    map: NDArray[np.uint8]


class Owner(NamedTuple):
    """The single store that holds a model, and what the model is called there."""

    store: "Store"
    label: str


class Part(NamedTuple):
    """One of the stores that are joined. `labels` gives its models' labels in the joined store, by those in its own."""

    store: "Store"
    labels: dict[str, str]


class Store(Protocol):
    """A store, open for reading: a single one (`SingleStore`), or several joined to one (`JoinedStore`).

    `labels`, top lists and thumbnails number the probe images as `image_paths` does. Arrays of a model with one row per
    image (decisions, activations) number the images of the model's own store: see `owner`. Arrays are read when they
    are requested. Every method that reads raises StoreError where the store is damaged, and ShapebiasError where a
    server does not deliver it. Methods that take the label of a model and the name of a layer do not check that the
    store has them: `check_model` and `check_layer` do.
    """

    path: Path | str  # the folder or URL of the store, or of the first of several stores
    attributes: dict[str, Any]  # the attributes of the store, or of the first of several stores
    models: dict[str, schema.Model]  # the models by their labels

    @property
    def identity(self) -> str:
        """The store's resolved path or its URL, which distinguishes it from all other stores."""
        return self.path if isinstance(self.path, str) else str(self.path.resolve())

    # The stores in it

    @property
    def parts(self) -> list[Part]:
        """The single stores that this store consists of; a single store consists of itself."""

    def owner(self, model: str) -> Owner:
        """Return the single store that holds a model, and the model's label there."""

    def image_paths_of(self, model: str) -> list[bytes]:
        """Return the paths of a model's probe images, in the order of its decisions and activations."""
        return self.owner(model).store.image_paths

    # Groups and arrays, by their paths

    def has(self, path: str) -> bool:
        """Return whether a group or array exists at `path` (see `schema`): stores differ in which passes were run.

        Outside models/, joined stores have only what all of them have, and that with the same attribute `names`; the
        methods below read it from the first store.
        """

    def attributes_of(self, path: str) -> dict[str, Any]:
        """Return the attributes of the group at `path`."""

    def array(self, path: str, shape: Sequence[int | None] | None = None) -> "zarr.Array[Any]":
        """Return the array at `path`; it stays open for later calls.

        The first call checks that it has `shape`, in which None stands for any extent; None: any shape. Raises
        StoreError where the array or one of its files is missing, or where it has another shape.
        """

    def read(self, path: str, *selection: Any, shape: Sequence[int | None] | None = None) -> NDArray[Any]:
        """Return all values of the array at `path`, or those at `selection`: for its first axes a number or a slice
        each. `shape` is checked as in `array`.
        """

    def ragged(self, path: str) -> Ragged:
        """Return the list of byte strings in the group at `path`, which has the arrays `data` and `offsets`."""

    # A layer's arrays, by their names (`top/value`, `activations/max`, `concepts/label`); the axis of units has only
    # the layer's own

    def layer_has(self, model: str, layer: str, name: str) -> bool:
        """Return whether a layer has an array of this name."""

    def layer_array(self, model: str, layer: str, name: str, shape: Sequence[int | None] | None = None) -> LayerArray:
        """Return a layer's array, whose values are read when it is indexed. `shape` is checked as in `array`."""

    def layer_read(
        self, model: str, layer: str, name: str, *selection: Any, shape: Sequence[int | None] | None = None
    ) -> NDArray[Any]:
        """Return the values of a layer's array; `selection` and `shape` are as in `read`."""

    # Images

    @property
    def image_paths(self) -> list[bytes]:
        """The paths of the probe images relative to their folder, as the raw bytes of the file system."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """The classes of the probe images, int32 [images]: index into `class_names`, -1 where an image has no label."""

    @property
    def class_names(self) -> list[str]:
        """The names of the probe images' classes."""

    @property
    def skipped(self) -> list[dict[str, str]]:
        """The images that could not be used: a dictionary with `path` and `reason` for each."""

    def image_name(self, image: int) -> str:
        """Return the path of a probe image as str (surrogates stand for bytes that are not UTF-8).

        Raises StoreError for a number that no image has.
        """

    def class_of(self, image: int) -> str:
        """Return the class name of the probe image with this number, empty where it has no label."""

    def thumbnail(self, model: str, image: int) -> bytes:
        """Return the picture (JPEG or PNG file) of a probe image as `model` saw it, after resizing and cropping.

        Raises StoreError where there is none: every image of a top list should have one.
        """
        thumbnail = self.find_thumbnail(model, image)
        if thumbnail is None:
            path = f"{schema.PROBE}/thumbnails/{self.models[model].thumbnails}"
            raise damaged(self.owner(model).store.path, f"no thumbnail of image {image}", path)
        return thumbnail

    def find_thumbnail(self, model: str, image: int) -> bytes | None:
        """Return the same picture as `thumbnail`; None where the store has none of that image."""

    def cue_conflict(self, model: str) -> Decisions | None:
        """Return a model's decisions for the cue-conflict images; None where it did not decide for any."""

    def attribution(self, model: str) -> Attribution | None:
        """Return the attribution maps of a model; None where there was no attribution pass."""

    # Layers and units

    def layers(self, model: str) -> dict[str, schema.Layer]:
        """Return the layers of a model by name, from input to output."""

    def filters(self, model: str) -> NDArray[np.float32] | None:
        """Return the first layer's kernels, float32 [units, 3, h, w]; None where they are 1 x 1 or do not take colour
        images.
        """
        path = f"models/{model}/filters"
        return self.read(path, shape=[None, 3, None, None]) if self.has(path) else None

    def metric_names(self, model: str, layer: str) -> list[str]:
        """Return the names of the metrics stored for a layer, in the registry's order."""

    def metric(self, model: str, layer: str, name: str) -> NDArray[np.float32]:
        """Return the values of a metric for a layer's units, float32 [units]."""

    def metric_part(self, model: str, layer: str, name: str) -> ArrayPart:
        """Return the part of the store that `metric` reads for a layer.

        It is the same for layers whose values of a metric are read together.
        """

    def top(self, unit: Unit) -> TopImages:
        """Return the top images of one unit with their maps. Reads only that unit's part of the store."""

    def top_lists(self, model: str, layer: str, name: str) -> NDArray[Any]:
        """Return the `value`, `image` or `position` (`name`) of the top images of all units of a layer.

        The shape is [units, k], for `position` [units, k, 2]; otherwise as in `TopImages`. Where a unit has fewer than
        k top images, values are NaN and images -1 at the end, and positions there mean nothing.
        """

    def activations(self, model: str, layer: str, kind: str) -> LayerArray:
        """Return the `max` or `mean` activations (`kind`) of a layer, float16 [images of the model's own store, units].

        Values are read when the result is indexed. Raises StoreError where the store does not keep them.
        """

    def activation_column(self, unit: Unit, most: int, block: int) -> NDArray[np.float16]:
        """Return a unit's `max` activations for all images of the model's own store, float16 [images].

        For more than `most` images, return about `most` of them: blocks of `block` neighbours, spread evenly.
        """

    def unit(self, name: str) -> Unit:
        """Return the unit that `MODEL/LAYER/INDEX` names, in a store of one model also `LAYER/INDEX`.

        The layer may be given by its module path. Raises UsageError, which says what there is, for any other name.
        """
        model, _, rest = name.partition("/")
        if len(self.models) == 1 and model not in self.models and self._names_layer(name.rpartition("/")[0]):
            model, rest = next(iter(self.models)), name
        layer, _, index = rest.rpartition("/")
        if not layer:
            first = next(iter(self.models))
            example = f"{first}/{self.models[first].layers[0]}/0"
            raise UsageError(f"{printable(name)} is not a unit: write MODEL/LAYER/INDEX, such as {example}")
        self.check_model(model)
        layer = self.check_layer(model, layer)
        units = self.layers(model)[layer].units
        if not (index.isascii() and index.isdecimal() and len(index) < 10 and int(index) < units):
            raise UsageError(f"{model}/{layer} has units 0 to {units - 1}, not {printable(index)}")
        return Unit(model, layer, int(index))

    def _names_layer(self, name: str) -> bool:
        """Return whether the first model has a layer or module of that name."""
        layers = self.layers(next(iter(self.models)))
        return name in layers or any(facts.module == name for facts in layers.values())

    def check_model(self, model: str) -> None:
        """Raise UsageError where the store has no such model."""
        if model not in self.models:
            raise UsageError(_unknown("model", model, list(self.models)))

    def check_layer(self, model: str, layer: str) -> str:
        """Return the name of a layer given by its name or its module path. Raises UsageError where there is none."""
        layers = self.layers(model)
        if layer in layers:
            return layer
        for name, facts in layers.items():
            if facts.module == layer:
                return name
        raise UsageError(_unknown(f"layer in {model}", layer, list(layers)))


def _unknown(kind: str, name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {printable(', '.join(names), 300)}"
    return f"no {kind} {printable(name)}: {hint}"
