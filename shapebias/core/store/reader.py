"""Open, check and read a store. Everything read from one is untrusted until it is printed through `core.text`."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.metrics import in_order
from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.store import schema
from shapebias.core.store.ragged import Ragged
from shapebias.core.text import printable

T = TypeVar("T")


class StoreError(ShapebiasError):
    """The store cannot be read: missing, of another format or version, or damaged."""


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


class Store:
    """A store, open for reading. Arrays are read when they are asked for. `path` is its folder, or its URL."""

    def __init__(self, path: Path | str, group: zarr.Group) -> None:
        self.path = path
        self._group = group
        self._arrays: dict[str, zarr.Array[Any]] = {}
        with self._reading("attributes"):
            self.attributes: dict[str, Any] = dict(group.attrs)
            if not isinstance(group["models"], zarr.Group):
                raise TypeError("models is not a group")
            labels = [str(label) for label in self.attributes["models"]]
            self.models: dict[str, schema.Model] = {label: self._model(label) for label in labels}
        if not self.models:
            raise StoreError(f"{shown(path)} holds no model: make it again with `shapebias precompute`")

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Turns whatever the storage layer raises on damage into one line that names the place."""
        try:
            yield
        except ShapebiasError:
            raise
        except MemoryError as error:
            raise StoreError(f"{shown(self.path)}: not enough memory to read {printable(what)}") from error
        except Exception as error:  # zarr, its codecs and its JSON raise nearly every kind
            reason = printable(str(error) or type(error).__name__, 120)
            raise StoreError(f"{shown(self.path)} is damaged at {printable(what)}: {reason}") from error

    def _model(self, label: str) -> schema.Model:
        path = f"models/{label}"
        with self._reading(path):
            model = schema.Model.from_attributes(dict(self._group[path].attrs))
            if model.label != label or not all(map(schema.is_safe_name, (label, *model.layers))):
                raise ValueError("a name that shapebias would not write")
            return model

    @property
    def identity(self) -> str:
        """What tells this store from all others: its resolved path, or its URL."""
        return self.path if isinstance(self.path, str) else str(self.path.resolve())

    @property
    def parts(self) -> "list[tuple[Store, dict[str, str]]]":
        """The stores that this one is joined of, and for each label of their models what it is called here."""
        return [(self, {label: label for label in self.models})]

    def plain(self, model: str) -> "tuple[Store, str]":
        """The store that holds a model, and what the model is called there: where images of a model are counted, as
        `image_paths` and `labels` do, ask that store."""
        return self, model

    def has(self, path: str) -> bool:
        """Whether there is something at `path`: stores differ in which passes made them."""
        if isinstance(self.path, Path):
            return (self.path / path / "zarr.json").is_file()
        with self._reading(path):
            return path in self._group

    def attributes_of(self, path: str) -> dict[str, Any]:
        """The attributes of the group at `path`. Untrusted, as everything in a store."""
        with self._reading(path):
            return dict(self._group[path].attrs)

    def array(self, path: str, shape: Sequence[int | None] | None = None) -> "zarr.Array[Any]":
        """The array at `path`, opened once. Raises StoreError where it, or a file of it, is missing or where its shape
        is another one (None stands for any extent, or any shape)."""
        if path not in self._arrays:
            with self._reading(path):
                array = self._group[path]
                if not isinstance(array, zarr.Array):
                    raise TypeError("not an array")
                if shape is not None and not _fits(array.shape, shape):
                    raise ValueError(f"its shape is {array.shape}")
                self._check_files(path, array)
                self._arrays[path] = array
        return self._arrays[path]

    def _check_files(self, path: str, array: "zarr.Array[Any]") -> None:
        """Zarr reads a chunk whose file is missing as fill values; here every chunk was written. (`RemoteFiles` finds
        that out when it reads one.)"""
        if isinstance(self.path, str):
            return
        pieces = math.prod(
            -(-extent // piece) for extent, piece in zip(array.shape, array.shards or array.chunks, strict=True)
        )
        files = (file for file in (self.path / path / "c").rglob("*") if file.is_file())
        present = sum(file.stat().st_size > 0 for file in files)
        if present < pieces:
            raise ValueError(f"{pieces - present} of its {pieces} files are missing or empty")

    def read(self, path: str, *selection: Any, shape: Sequence[int | None] | None = None) -> NDArray[Any]:
        """The values of the array at `path`, all or a basic selection; `shape` is checked as in `array`."""
        array = self.array(path, shape)
        with self._reading(path):
            return np.asarray(array[selection if selection else ...])

    def ragged(self, path: str) -> Ragged:
        """The list of byte strings at `path`."""
        with self._reading(path):
            return Ragged(self.array(f"{path}/data", [None]), self.read(f"{path}/offsets", shape=[None]))

    # Images

    @cached_property
    def image_paths(self) -> list[bytes]:
        """The probe images' paths, relative to their folder, as the raw bytes of the file system."""
        return self._all(f"{schema.PROBE}/path")

    def _all(self, path: str) -> list[bytes]:
        ragged = self.ragged(path)
        with self._reading(path):
            return ragged.all()

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """int32 [images]: index into `class_names`, -1 where an image has no label."""
        return self.read(f"{schema.PROBE}/label", shape=[len(self.image_paths)]).astype(np.int32)

    @cached_property
    def _probe_attributes(self) -> dict[str, Any]:
        with self._reading(schema.PROBE):
            return dict(self._group[schema.PROBE].attrs)

    @property
    def class_names(self) -> list[str]:
        with self._reading(f"{schema.PROBE} class_names"):
            return [_text(name) for name in self._probe_attributes["class_names"]]

    @property
    def skipped(self) -> list[dict[str, str]]:
        """The images that could not be used: `path` (printable) and `reason` of each."""
        with self._reading(f"{schema.PROBE} skipped"):
            found = self._probe_attributes["skipped"]
            return [{"path": _text(each["path"]), "reason": _text(each["reason"])} for each in found]

    def image_name(self, image: int) -> str:
        """The path of a probe image as str (surrogates for bytes that are not UTF-8). Raises StoreError."""
        if not 0 <= image < len(self.image_paths):
            raise StoreError(f"{shown(self.path)} is damaged: a top list names image {image}, which it does not have")
        return os.fsdecode(self.image_paths[image])

    def class_of(self, image: int) -> str:
        """The class name of a probe image, empty where it has no label."""
        label = int(self.labels[image])
        return self.class_names[label] if 0 <= label < len(self.class_names) else ""

    @cached_property
    def _thumbnails(self) -> dict[str, tuple[NDArray[np.int64], Ragged]]:
        return {}

    def thumbnail(self, model: str, image: int) -> bytes:
        """The encoded picture (JPEG or PNG) of a probe image as `model` saw it: its resize and crop. Raises StoreError
        where there is none: of every image of a top list there should be one."""
        found = self.find_thumbnail(model, image)
        if found is None:
            path = f"{schema.PROBE}/thumbnails/{self.models[model].thumbnails}"
            raise StoreError(f"{shown(self.plain(model)[0].path)} is damaged at {path}: no thumbnail of image {image}")
        return found

    def find_thumbnail(self, model: str, image: int) -> bytes | None:
        """As `thumbnail`; None where the store has none of that image."""
        key = self.models[model].thumbnails
        path = f"{schema.PROBE}/thumbnails/{key}"
        if key not in self._thumbnails:
            self._thumbnails[key] = (self.read(f"{path}/image", shape=[None]), self.ragged(path))
        images, pictures = self._thumbnails[key]
        row = int(np.searchsorted(images, image))
        if row == len(images) or images[row] != image:
            return None
        with self._reading(path):
            return pictures[row]

    # Cue conflict

    def cue_conflict(self, model: str) -> Decisions | None:
        """What a model decided for the cue-conflict images; None where it was not asked. Raises StoreError."""
        images, path = schema.CUE_CONFLICT, schema.decisions_path(model)
        if not self.has(path):
            return None
        names = [os.fsdecode(name) for name in self._cue_conflict_paths]
        with self._reading(images):
            facts = schema.CueConflictImages.from_attributes(dict(self._group[images].attrs))
            if not all(map(schema.is_safe_name, facts.categories)):
                raise ValueError("a name that shapebias would not write")
        arrays = (f"{images}/shape", f"{images}/texture", f"{path}/decision")
        shape, texture, decision = (self.read(each, shape=[len(names)]).astype(np.int32) for each in arrays)
        with self._reading(path):
            return Decisions(facts.categories, names, shape, texture, decision, facts.excluded)

    @cached_property
    def _cue_conflict_paths(self) -> list[bytes]:
        return self._all(f"{schema.CUE_CONFLICT}/path")

    # Models, layers, units

    @cached_property
    def _layers(self) -> dict[str, dict[str, schema.Layer]]:
        return {}

    def layers(self, model: str) -> dict[str, schema.Layer]:
        """The layers of a model by name, from the input to the output."""
        if model not in self._layers:
            found = {}
            for name in self.models[model].layers:
                path = schema.layer_path(model, name)
                with self._reading(path):
                    found[name] = schema.Layer.from_attributes(dict(self._group[path].attrs))
            self._layers[model] = found
        return self._layers[model]

    def filters(self, model: str) -> NDArray[np.float32] | None:
        """The first layer's kernels, float32 [units, 3, h, w]; None where they are not of colour images, or 1 x 1."""
        path = f"models/{model}/filters"
        return self.read(path, shape=[None, 3, None, None]) if self.has(path) else None

    def metric_names(self, model: str, layer: str) -> list[str]:
        """The metrics stored for a layer, in the registry's order."""
        path = f"{schema.layer_path(model, layer)}/metrics"
        with self._reading(path):
            group = self._group[path]
            assert isinstance(group, zarr.Group)
            return in_order(group.array_keys())

    def metric(self, model: str, layer: str, name: str) -> NDArray[np.float32]:
        """float32 [units] of a metric."""
        units = self.layers(model)[layer].units
        return self.read(f"{schema.layer_path(model, layer)}/metrics/{name}", shape=[units])

    @lru_cache(maxsize=256)  # noqa: B019 (a store is open as long as the program runs)
    def top(self, unit: Unit) -> TopImages:
        """The top images of one unit with their maps; reads only that unit's part of the store."""
        path = f"{schema.layer_path(unit.model, unit.layer)}/top"
        layer = self.layers(unit.model)[unit.layer]
        lists = [layer.units, None]
        image = self.read(f"{path}/image", unit.index, shape=lists)
        value = self.read(f"{path}/value", unit.index, shape=[layer.units, len(image)])
        position = self.read(f"{path}/position", unit.index, shape=[layer.units, len(image), 2])
        maps = self.read(f"{path}/map", unit.index, shape=[layer.units, len(image), layer.map_height, layer.map_width])
        filled = int((image >= 0).sum())
        return TopImages(value[:filled], image[:filled], position[:filled], maps[:filled])

    def top_lists(self, model: str, layer: str, name: str) -> NDArray[Any]:
        """`value`, `image` or `position` of the top lists of a whole layer, [units, k] or [units, k, 2]."""
        shape = [self.layers(model)[layer].units, None, *([2] if name == "position" else [])]
        return self.read(f"{schema.layer_path(model, layer)}/top/{name}", shape=shape)

    def activations(self, model: str, layer: str, kind: str) -> "zarr.Array[Any]":
        """The `max` or `mean` activation of every image, float16 [images, units]; index it to read a part."""
        shape = [len(self.image_paths), self.layers(model)[layer].units]
        return self.array(f"{schema.layer_path(model, layer)}/activations/{kind}", shape)

    def activation_column(self, unit: Unit, most: int, block: int) -> NDArray[np.float16]:
        """A unit's `max` activations, float16 [images]: of all, or of about `most`, in blocks evenly spread."""
        array = self.activations(unit.model, unit.layer, "max")
        path = f"{schema.layer_path(unit.model, unit.layer)}/activations/max"
        blocks = -(-array.shape[0] // block)
        chosen = range(blocks) if array.shape[0] <= most else np.linspace(0, blocks - 1, most // block).astype(int)
        with self._reading(path):
            parts = [np.asarray(array[int(each) * block : (int(each) + 1) * block, unit.index]) for each in chosen]
            return np.concatenate([np.zeros(0, np.float16), *parts])

    def unit(self, name: str) -> Unit:
        """The unit that `MODEL/LAYER/INDEX` names. Raises UsageError that says what there is."""
        model, _, rest = name.partition("/")
        layer, _, index = rest.rpartition("/")
        if not layer:
            raise UsageError(f"{printable(name)} is not a unit: write MODEL/LAYER/INDEX, such as {self._example()}")
        self.check_model(model)
        layer = self.check_layer(model, layer)
        units = self.layers(model)[layer].units
        if not (index.isascii() and index.isdecimal() and len(index) < 10 and int(index) < units):
            raise UsageError(f"{model}/{layer} has units 0 to {units - 1}, not {printable(index)}")
        return Unit(model, layer, int(index))

    def _example(self) -> str:
        model = next(iter(self.models))
        return f"{model}/{self.models[model].layers[0]}/0"

    def check_model(self, model: str) -> None:
        """Raises UsageError where the store has no such model."""
        if model not in self.models:
            raise UsageError(_unknown("model", model, list(self.models)))

    def check_layer(self, model: str, layer: str) -> str:
        """The name of a layer given by its name or its module path. Raises UsageError where there is none."""
        layers = self.layers(model)
        if layer in layers:
            return layer
        for name, info in layers.items():
            if info.module == layer:
                return name
        raise UsageError(_unknown(f"layer in {model}", layer, list(layers)))


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        need is None or extent == need for extent, need in zip(shape, wanted, strict=True)
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {printable(', '.join(known), 300)}"
    return f"no {kind} {printable(name)}: {hint}"


def shown(path: Path | str) -> str:
    """A store's path or URL, to be printed."""
    return printable(str(path))
