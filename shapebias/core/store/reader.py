"""What can be read from a store, or from several joined to one. All of it is untrusted until `core.text` prints it."""

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
    """One unit, named `MODEL/LAYER/INDEX`."""

    model: str
    layer: str
    index: int

    def __str__(self) -> str:
        return f"{self.model}/{self.layer}/{self.index}"


@dataclass(frozen=True)
class TopImages:
    """The images that drive one unit hardest, strongest first (fewer than k where the set was smaller).

    value float32 [n]; image int32 [n], index into the probe images; position int32 [n, 2], (y, x) of the maximum
    in the map; map uint8 [n, h, w], 255 = the unit's max.
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
    """One of the single stores that a store consists of; `labels` gives for its models' labels those in the whole."""

    store: "Store"
    labels: dict[str, str]


class Store(Protocol):
    """A store, open for reading: a single one (`SingleStore`), or several joined to one (`JoinedStore`).

    Probe images are numbered as in `image_paths`, by `labels`, top lists and thumbnails too. Arrays under a model with
    one row per image (its decisions, its activations) count the images of the model's own store: see `owner`.
    Arrays are read when they are asked for. Whatever reads raises StoreError where the store is damaged.
    """

    path: Path | str  # the folder, or the URL; of several stores that of the first
    attributes: dict[str, Any]  # of the first store
    models: dict[str, schema.Model]  # by label

    @property
    def identity(self) -> str:
        """What tells this store from all others: its resolved path, or its URL."""
        return self.path if isinstance(self.path, str) else str(self.path.resolve())

    # The stores in it

    @property
    def parts(self) -> list[Part]:
        """The single stores that this one consists of; of a single store itself."""

    def owner(self, model: str) -> Owner:
        """Return the single store that holds a model, and the model's label there."""

    def image_paths_of(self, model: str) -> list[bytes]:
        """Return the paths of the probe images that a model saw, in the order of its decisions and activations."""
        return self.owner(model).store.image_paths

    # Groups and arrays, by their paths

    def has(self, path: str) -> bool:
        """Return whether there is something at `path`: stores differ in which passes made them."""

    def attributes_of(self, path: str) -> dict[str, Any]:
        """Return the attributes of the group at `path`."""

    def array(self, path: str, shape: Sequence[int | None] | None = None) -> "zarr.Array[Any]":
        """Return the array at `path`, opened once. Raises StoreError where it, or a file of it, is missing or where
        its shape is another one (None stands for any extent, or any shape)."""

    def read(self, path: str, *selection: Any, shape: Sequence[int | None] | None = None) -> NDArray[Any]:
        """Return the values of the array at `path`, all or a basic selection; `shape` is checked as in `array`."""

    def ragged(self, path: str) -> Ragged:
        """Return the list of byte strings at `path`."""

    # A layer's arrays, by their names: `top/value`, `top/map`, `activations/max`, `concepts/label`

    def layer_has(self, model: str, layer: str, name: str) -> bool:
        """Return whether a layer has such an array."""

    def layer_array(self, model: str, layer: str, name: str, shape: Sequence[int | None] | None = None) -> LayerArray:
        """Return an array of a layer, to be indexed. Raises StoreError as `array` does."""

    def layer_read(
        self, model: str, layer: str, name: str, *selection: Any, shape: Sequence[int | None] | None = None
    ) -> NDArray[Any]:
        """Return the values of a layer's array, all or a basic selection."""

    # Images

    @property
    def image_paths(self) -> list[bytes]:
        """The probe images' paths, relative to their folder, as the raw bytes of the file system."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """int32 [images]: index into `class_names`, -1 where an image has no label."""

    @property
    def class_names(self) -> list[str]:
        """The names of the probe images' classes."""

    @property
    def skipped(self) -> list[dict[str, str]]:
        """The images that could not be used: `path` (printable) and `reason` of each."""

    def image_name(self, image: int) -> str:
        """Return the path of a probe image as str (surrogates for bytes that are not UTF-8)."""

    def class_of(self, image: int) -> str:
        """Return the class name of a probe image, empty where it has no label."""

    def thumbnail(self, model: str, image: int) -> bytes:
        """Return the encoded picture (JPEG or PNG) of a probe image as `model` saw it: its resize and crop.

        Raises StoreError where there is none: of every image of a top list there should be one.
        """
        thumbnail = self.find_thumbnail(model, image)
        if thumbnail is None:
            path = f"{schema.PROBE}/thumbnails/{self.models[model].thumbnails}"
            raise damaged(self.owner(model).store.path, f"no thumbnail of image {image}", path)
        return thumbnail

    def find_thumbnail(self, model: str, image: int) -> bytes | None:
        """Return what `thumbnail` does; None where the store has no picture of that image."""

    def cue_conflict(self, model: str) -> Decisions | None:
        """Return what a model decided for the cue-conflict images; None where it was not asked."""

    def attribution(self, model: str) -> Attribution | None:
        """Return the maps of where a model looked; None where there was no attribution pass."""

    # Layers and units

    def layers(self, model: str) -> dict[str, schema.Layer]:
        """Return the layers of a model by name, from the input to the output."""

    def filters(self, model: str) -> NDArray[np.float32] | None:
        """Return the first layer's kernels, float32 [units, 3, h, w]; None where they are not of colour images, or
        1 x 1."""
        path = f"models/{model}/filters"
        return self.read(path, shape=[None, 3, None, None]) if self.has(path) else None

    def metric_names(self, model: str, layer: str) -> list[str]:
        """Return the metrics stored for a layer, in the registry's order."""

    def metric(self, model: str, layer: str, name: str) -> NDArray[np.float32]:
        """Return a metric of a layer's units, float32 [units]."""

    def metric_part(self, model: str, layer: str, name: str) -> ArrayPart:
        """Return what `metric` reads: the same for several layers where it reads the metric of all together."""

    def top(self, unit: Unit) -> TopImages:
        """Return the top images of one unit with their maps; reads only that unit's part of the store."""

    def top_lists(self, model: str, layer: str, name: str) -> NDArray[Any]:
        """Return `value`, `image` or `position` of the top lists of a whole layer, [units, k] or [units, k, 2]."""

    def activations(self, model: str, layer: str, kind: str) -> LayerArray:
        """Return the `max` or `mean` activations, float16 [images of the model's own store, units]; index the array
        to read a part."""

    def activation_column(self, unit: Unit, most: int, block: int) -> NDArray[np.float16]:
        """Return a unit's `max` activations, float16 [images]: all, or about `most`, in blocks evenly spread."""

    def unit(self, name: str) -> Unit:
        """Return the unit that `MODEL/LAYER/INDEX` names, in a store of one model also `LAYER/INDEX`.

        Raises UsageError that says what there is.
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
        """Raises UsageError where the store has no such model."""
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


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {printable(', '.join(known), 300)}"
    return f"no {kind} {printable(name)}: {hint}"
