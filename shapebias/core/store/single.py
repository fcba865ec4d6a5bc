"""A single store, in a folder, in a zip or on a server: its arrays, checked as they are read."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.attribution.scores import SCORES
from shapebias.core.errors import ShapebiasError
from shapebias.core.metrics import in_order
from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.store import schema
from shapebias.core.store.attribution import Attribution, MapScores
from shapebias.core.store.errors import StoreError, damaged, store_name
from shapebias.core.store.files import Files
from shapebias.core.store.layout import MAPS, METRICS, ArrayPart, LayerArray, StoreLayout
from shapebias.core.store.ragged import Ragged
from shapebias.core.store.reader import Owner, Part, Store, TopImages, Unit
from shapebias.core.text import printable

_AT_ONCE = 1 << 16  # a metric is read for all layers together if the model has at most so many units


class SingleStore(Store):
    """One store, opened for reading. `Store` documents the methods."""

    def __init__(self, path: Path | str, group: zarr.Group, files: Files | None = None) -> None:
        """Read the facts about the store, whose top is `group`, and its models.

        `files` tells which files exist; None for a store on a server. Raises StoreError where the facts make no sense.
        """
        self.path = path
        self._group, self._files = group, files
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._thumbnails: dict[str, tuple[NDArray[np.int64], Ragged]] = {}  # by geometry: images' numbers, pictures
        self._layouts: dict[str, StoreLayout] = {}
        self._metrics: dict[ArrayPart, NDArray[np.float32]] = {}  # by part: a metric of all layers of a model
        self._cached_attribution = lru_cache(self._read_attribution)
        self._cached_top = lru_cache(maxsize=256)(self._read_top)
        with self._reading("attributes"):
            self.attributes = dict(group.attrs)
            if not isinstance(group["models"], zarr.Group):
                raise TypeError("models is not a group")
            self._version = int(self.attributes["version"])
            labels = [str(label) for label in self.attributes["models"]]
            self.models = {label: self._model(label) for label in labels}
        if not self.models:
            raise StoreError(f"{store_name(path)} holds no model: make it again with `shapebias precompute`", path)

    @contextmanager
    def _reading(self, where: str) -> Iterator[None]:
        """Turn every error inside the `with` block into a StoreError that says that the store is damaged at `where`.

        A ShapebiasError passes as it is; MemoryError becomes a StoreError about memory.
        """
        try:
            yield
        except ShapebiasError:
            raise
        except MemoryError as error:
            problem = f"not enough memory to read {printable(where)}"
            raise StoreError(
                f"{store_name(self.path)}: {problem}", self.path, where=printable(where), problem=problem
            ) from error
        except Exception as error:  # zarr, its codecs and its JSON raise errors of nearly every kind
            raise damaged(self.path, printable(str(error) or type(error).__name__, 120), where) from error

    def _model(self, label: str) -> schema.Model:
        path = f"models/{label}"
        with self._reading(path):
            model = schema.Model.from_attributes(dict(self._group[path].attrs))
            if model.label != label or not all(map(schema.is_safe_name, (label, *model.layers))):
                raise ValueError("a name that shapebias would not write")
            return model

    @property
    def parts(self) -> list[Part]:
        return [Part(self, {label: label for label in self.models})]

    def owner(self, model: str) -> Owner:
        return Owner(self, model)

    # Groups and arrays, by their paths

    def has(self, path: str) -> bool:
        if self._files is not None:
            return self._files.has(f"{path}/zarr.json")
        with self._reading(path):
            return path in self._group

    def attributes_of(self, path: str) -> dict[str, Any]:
        with self._reading(path):
            return dict(self._group[path].attrs)

    def array(self, path: str, shape: Sequence[int | None] | None = None) -> "zarr.Array[Any]":
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
        """Raise ValueError where the file of a chunk is missing, which zarr would read as fill values.

        Every chunk of a store was written. `RemoteFiles` notices a missing file when it reads the chunk.
        """
        if self._files is None:
            return
        pieces = math.prod(
            -(-extent // piece) for extent, piece in zip(array.shape, array.shards or array.chunks, strict=True)
        )
        present = self._files.count(f"{path}/c")
        if present < pieces:
            raise ValueError(f"{pieces - present} of its {pieces} files are missing or empty")

    def read(self, path: str, *selection: Any, shape: Sequence[int | None] | None = None) -> NDArray[Any]:
        array = self.array(path, shape)
        with self._reading(path):
            return np.asarray(array[selection if selection else ...])

    def ragged(self, path: str) -> Ragged:
        with self._reading(path):
            return Ragged(self.array(f"{path}/data", [None]), self.read(f"{path}/offsets", shape=[None]))

    def _byte_strings(self, path: str) -> list[bytes]:
        ragged = self.ragged(path)
        with self._reading(path):
            return ragged.all()

    # Images

    @cached_property
    def image_paths(self) -> list[bytes]:
        return self._byte_strings(f"{schema.PROBE}/path")

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        return self.read(f"{schema.PROBE}/label", shape=[len(self.image_paths)]).astype(np.int32)

    @cached_property
    def _probe_attributes(self) -> dict[str, Any]:
        return self.attributes_of(schema.PROBE)

    @property
    def class_names(self) -> list[str]:
        with self._reading(f"{schema.PROBE} class_names"):
            return [_text(name) for name in self._probe_attributes["class_names"]]

    @property
    def skipped(self) -> list[dict[str, str]]:
        with self._reading(f"{schema.PROBE} skipped"):
            images = self._probe_attributes["skipped"]
            return [{"path": _text(image["path"]), "reason": _text(image["reason"])} for image in images]

    def image_name(self, image: int) -> str:
        if not 0 <= image < len(self.image_paths):
            raise damaged(self.path, f"a top list names image {image}, which it does not have")
        return os.fsdecode(self.image_paths[image])

    def class_of(self, image: int) -> str:
        label = int(self.labels[image])
        return self.class_names[label] if 0 <= label < len(self.class_names) else ""

    def find_thumbnail(self, model: str, image: int) -> bytes | None:
        geometry = self.models[model].thumbnails
        path = f"{schema.PROBE}/thumbnails/{geometry}"
        if geometry not in self._thumbnails:
            self._thumbnails[geometry] = (self.read(f"{path}/image", shape=[None]), self.ragged(path))
        images, pictures = self._thumbnails[geometry]
        row = int(np.searchsorted(images, image))
        if row == len(images) or images[row] != image:
            return None
        with self._reading(path):
            return pictures[row]

    def cue_conflict(self, model: str) -> Decisions | None:
        images, path = schema.CUE_CONFLICT, schema.decisions_path(model)
        if not self.has(path):
            return None
        names = [os.fsdecode(name) for name in self._cue_conflict_paths]
        with self._reading(images):
            facts = schema.CueConflictImages.from_attributes(dict(self._group[images].attrs))
            if not all(map(schema.is_safe_name, facts.categories)):
                raise ValueError("a name that shapebias would not write")
        arrays = (f"{images}/shape", f"{images}/texture", f"{path}/decision")
        shape, texture, decision = (self.read(array, shape=[len(names)]).astype(np.int32) for array in arrays)
        with self._reading(path):
            return Decisions(
                categories=facts.categories,
                images=names,
                shape=shape,
                texture=texture,
                decision=decision,
                excluded=facts.excluded,
                stimuli=facts.stimuli,
            )

    @cached_property
    def _cue_conflict_paths(self) -> list[bytes]:
        return self._byte_strings(f"{schema.CUE_CONFLICT}/path")

    def attribution(self, model: str) -> Attribution | None:
        return self._cached_attribution(model)

    def _read_attribution(self, model: str) -> Attribution | None:
        """Return a model's attribution as `attribution` does, read from the files."""
        images, path = schema.ATTRIBUTION, schema.attribution_path(model)
        if not self.has(path):
            return None
        with self._reading(images):
            chosen = schema.AttributionImages.from_attributes(dict(self._group[images].attrs))
        with self._reading(path):
            attributes = self.attributes_of(path)
            run = [schema.AttributedMethod.from_attributes(method) for method in attributes["methods"]]
            left_out = {str(method): str(reason) for method, reason in attributes.get("left_out", {}).items()}
            methods = {method.name: method for method in run}
            if len(methods) != len(run) or not all(map(schema.is_safe_name, methods)):
                raise ValueError("the names of its methods are repeated or unsafe")
        image = self.read(f"{images}/image", shape=[None]).astype(np.int64)
        count = len(image)

        def read(method: str, row: int) -> NDArray[np.float16]:
            size = [methods[method].height, methods[method].width]
            return self.read(f"{path}/maps/{method}", row, shape=[count, *size]).astype(np.float16)

        return Attribution(
            images=chosen,
            methods=methods,
            image=image,
            target=self.read(f"{path}/target", shape=[count]).astype(np.int32),
            probability=self.read(f"{path}/probability", shape=[count]).astype(np.float32),
            scale=self.read(f"{path}/scale", shape=[len(methods), count]).astype(np.float32),
            gap=self.read(f"{path}/gap", shape=[len(methods), count]).astype(np.float32),
            left_out=left_out,
            read=read,
            scores=self._map_scores(f"{path}/{schema.SCORES}", [len(methods), count]),
        )

    def _map_scores(self, path: str, shape: list[int]) -> MapScores | None:
        """Return the scores in the group at `path`, None where there is none; `shape` is [methods, images]."""
        if not self.has(path):
            return None
        with self._reading(path):
            facts = schema.AttributionScores.from_attributes(self.attributes_of(path))
            names = [name for name in facts.scores if name != schema.OVERLAP]
            if not set(names) <= set(SCORES):
                raise ValueError("a score that this version does not know")
        overlap = None
        if schema.OVERLAP in facts.scores:
            overlap = self.read(f"{path}/{schema.OVERLAP}", shape=[*shape, len(facts.thresholds)]).astype(np.float32)
        values = {name: self.read(f"{path}/{name}", shape=shape).astype(np.float32) for name in names}
        return MapScores(facts, values, overlap)

    # Layers and units

    def layers(self, model: str) -> dict[str, schema.Layer]:
        return dict(self._layout(model).layers)

    def _layout(self, model: str) -> StoreLayout:
        if model not in self._layouts:
            facts = self.models[model]
            if self._version == 1:
                layers = {name: self._layer_of_version_1(model, name) for name in facts.layers}
            else:
                with self._reading(f"models/{model}"):
                    layer_facts = [schema.Layer.from_attributes(dict(attributes)) for attributes in facts.layer_facts]
                    layers = {layer.name: layer for layer in layer_facts}
                    if list(layers) != facts.layers or not all(isinstance(name, str) for name in facts.metrics):
                        raise ValueError("the names of its layers differ from its list of layers")
            self._layouts[model] = StoreLayout(model, self._version, layers, tuple(facts.metrics))
        return self._layouts[model]

    def _layer_of_version_1(self, model: str, name: str) -> schema.Layer:
        path = schema.layer_path(model, name)
        with self._reading(path):
            return schema.Layer.from_attributes(dict(self._group[path].attrs))

    def layer_has(self, model: str, layer: str, name: str) -> bool:
        return self.has(self._layout(model).part(layer, name).path)

    def layer_array(self, model: str, layer: str, name: str, shape: Sequence[int | None] | None = None) -> LayerArray:
        with self._reading(f"{model}/{layer}/{name}"):
            part = self._layout(model).part(layer, name)
        array = self.array(part.path)
        with self._reading(part.path):
            layer_array = LayerArray(array, part)
            if shape is not None and not _fits(layer_array.shape, shape):
                raise ValueError(f"its shape is {array.shape}")
            return layer_array

    def layer_read(
        self, model: str, layer: str, name: str, *selection: Any, shape: Sequence[int | None] | None = None
    ) -> NDArray[Any]:
        array = self.layer_array(model, layer, name, shape)
        with self._reading(array.path):
            return array[selection if selection else ...]

    def metric_names(self, model: str, layer: str) -> list[str]:
        if self._version > 1:
            return in_order(self._layout(model).metric_names(layer))
        path = f"{schema.layer_path(model, layer)}/metrics"
        with self._reading(path):
            group = self._group[path]
            assert isinstance(group, zarr.Group)
            return in_order(group.array_keys())

    def metric(self, model: str, layer: str, name: str) -> NDArray[np.float32]:
        part = self.metric_part(model, layer, name)
        layout_part = self._layout(model).part(layer, f"{METRICS}/{name}")
        if part == layout_part:
            return self.layer_read(model, layer, f"{METRICS}/{name}", shape=[self.layers(model)[layer].units])
        with self._reading(f"{part.path} {name}"):
            if part not in self._metrics:  # all layers at once, since each read has a fixed cost
                self._metrics[part] = LayerArray(self.array(part.path), part)[...]
                self._metrics[part].flags.writeable = False
            return self._metrics[part][layout_part.first : layout_part.first + (layout_part.count or 0)]

    def metric_part(self, model: str, layer: str, name: str) -> ArrayPart:
        layout = self._layout(model)
        with self._reading(f"{model}/{layer}/{METRICS}/{name}"):
            part = layout.part(layer, f"{METRICS}/{name}")
        together = self._version > 1 and layout.units <= _AT_ONCE
        return replace(part, first=0, count=layout.units) if together else part

    def top(self, unit: Unit) -> TopImages:
        return self._cached_top(unit)

    def _read_top(self, unit: Unit) -> TopImages:
        """Return a unit's top images as `top` does, read from the files."""
        layer = self.layers(unit.model)[unit.layer]
        read = partial(self.layer_read, unit.model, unit.layer)
        image = read("top/image", unit.index, shape=[layer.units, None])
        lists = [layer.units, len(image)]
        value = read("top/value", unit.index, shape=lists)
        position = read("top/position", unit.index, shape=[*lists, 2])
        maps = read(MAPS, unit.index, shape=[*lists, layer.map_height, layer.map_width])
        filled = int((image >= 0).sum())
        return TopImages(value[:filled], image[:filled], position[:filled], maps[:filled])

    def top_lists(self, model: str, layer: str, name: str) -> NDArray[Any]:
        shape = [self.layers(model)[layer].units, None, *([2] if name == "position" else [])]
        return self.layer_read(model, layer, f"top/{name}", shape=shape)

    def activations(self, model: str, layer: str, kind: str) -> LayerArray:
        shape = [len(self.image_paths), self.layers(model)[layer].units]
        return self.layer_array(model, layer, f"activations/{kind}", shape)

    def activation_column(self, unit: Unit, most: int, block: int) -> NDArray[np.float16]:
        array = self.activations(unit.model, unit.layer, "max")
        images = array.shape[0]
        blocks = -(-images // block)
        chosen = range(blocks) if images <= most else np.linspace(0, blocks - 1, most // block).astype(int).tolist()
        with self._reading(array.path):
            parts = [np.asarray(array[number * block : (number + 1) * block, unit.index]) for number in chosen]
            return np.concatenate([np.zeros(0, np.float16), *parts])


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        need is None or extent == need for extent, need in zip(shape, expected, strict=True)
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value
