"""The only code that writes a store: first beside its final path, then moved there by one rename."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

import shapebias
from shapebias.core.concepts import LayerConcepts
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import CannotWriteError, Size, sync, sync_tree
from shapebias.core.metrics import in_order
from shapebias.core.store import schema
from shapebias.core.store.layout import METRICS, map_group
from shapebias.core.text import printable
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.measures.attribution import Attributed
from shapebias.precompute.measures.cue_conflict import CueConflict
from shapebias.precompute.measures.ood import OodSet
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.stopping import uninterrupted
from shapebias.precompute.unfinished import StartAgainError, UnfinishedRun, check_free
from shapebias.precompute.writing.arrays import GrowingArray, create, create_ragged
from shapebias.precompute.writing.manifest import write_manifest

_ROWS = 1024  # images in a shard of the activations: so many are collected before they are written
_UNITS = 1024  # units in a chunk of the top lists
_PUT_RIGHT = "put that right and give the same command to go on"
_MAPS = 1 << 16  # bytes of maps that are read at once
_LIST = (1 << 16,)  # the shape of a chunk of a list with a number for every image


class StoreWriter:
    """Writes a store in the folder of an unfinished run. The store appears under its name only after `commit`.

    It is used as a context. That opens the folder, and raises the errors of `UnfinishedRun.open`. A StartAgainError in
    the block deletes the finished work; an OSError becomes a ShapebiasError of one line. Arguments `model` that are
    texts are models' labels. What a method records or keeps, `model` or `commit` writes.
    """

    def __init__(self, path: Path, overwrite: bool, settings: dict[str, Any]) -> None:
        """Check that a store can be made at `path`. `settings`, ready for JSON, become an attribute of the store.

        Raises UsageError where something is there that must not be replaced: see `check_free`.
        """
        if not path.name:
            raise UsageError(f"{printable(str(path))} cannot be a store: name a folder that does not exist yet")
        real = Path(os.path.realpath(path))  # a link to a store stays a link
        if os.path.lexists(path) and not os.path.lexists(real):
            raise UsageError(f"{printable(str(path))} is a broken link: remove it, or choose another --store")
        self.path = real
        self.unfinished = UnfinishedRun(self.path)
        self._store = self.unfinished.folder / "store"
        self._models: list[str] = []
        self._layers: dict[str, list[schema.Layer]] = {}  # by model
        self._metrics: dict[str, list[dict[str, NDArray[np.float32]]]] = {}  # for each of these layers
        self._rulers: list[schema.Ruler] = []
        self._device: dict[str, Any] = {}
        self._notes: list[str] = []
        self._overwrite, self._settings = overwrite, settings
        check_free(self.path, self._overwrite)

    def __enter__(self) -> Self:
        self.unfinished.open()
        try:
            shutil.rmtree(self._store, ignore_errors=True)
            self._root = zarr.create_group(self._store)
        except OSError as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._store, ignore_errors=True)
        if isinstance(error, StartAgainError):
            self.unfinished.clear()
        self.unfinished.close()
        if isinstance(error, CannotWriteError):
            raise ShapebiasError(f"{error}: {_PUT_RIGHT}") from error
        if isinstance(error, OSError) and error.errno:
            where = f" at {printable(str(error.filename), 200)}" if error.filename else ""
            raise ShapebiasError(f"{os.strerror(error.errno).lower()}{where}: {_PUT_RIGHT}") from error

    def device(self, facts: dict[str, Any]) -> None:
        """Record facts about the device that measured, ready for JSON."""
        self._device = facts

    def commit(self) -> Size:
        """Move the finished store to its path by one rename, which replaces an old store. Return its size. Raises
        UsageError where something else has come to that path.
        """
        self._root.attrs.update(
            {
                "format": schema.FORMAT,
                "version": schema.VERSION,
                "shapebias_version": shapebias.__version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "settings": self._settings,
                "folder": printable(os.getcwd(), 4096),  # noqa: PTH109 (relative paths in settings begin there)
                "device": self._device,
                "models": self._models,
                "rulers": [ruler.to_attributes() for ruler in self._rulers],
                "notes": self._notes,
            }
        )
        write_manifest(self._store)
        check_free(self.path, self._overwrite)
        sync_tree(self._store)
        size = Size.of(self._store)
        with uninterrupted():
            if os.path.lexists(self.path):
                old = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.old-", dir=self.path.parent))
                self.path.rename(old / self.path.name)
                self._store.rename(self.path)
                shutil.rmtree(old)
            else:
                self._store.rename(self.path)
            sync(self.path.parent)
            self.unfinished.clear()
        return size

    def images(self, image_set: ImageSet, used: NDArray[np.int64], skipped: Iterable[Skipped]) -> None:
        """Write the probe images that were used (positions in the listing), and why others were not."""
        group = self._root.require_group(schema.PROBE)
        group.attrs.update(
            {
                "class_ids": [printable(name) for name in image_set.class_ids],
                "class_names": [printable(name) for name in image_set.class_names],
                "skipped": _skipped(skipped),
            }
        )
        create_ragged(group.create_group("path"), [image_set.paths[position] for position in used], "path")
        create(group, "label", image_set.labels[used].astype(np.int32), ("image",), chunk=_LIST)

    def notes(self, notes: Iterable[str]) -> None:
        """Record the messages that the user got during the run."""
        self._notes = [printable(note, 2000) for note in notes]

    def thumbnails(self, key: str, pictures: dict[int, bytes]) -> None:
        """Write picture files by the index of their image in the store; `key` is that of their geometry."""
        group = self._root.create_group(f"{schema.PROBE}/thumbnails/{key}")
        indices = sorted(pictures)
        create(group, "image", np.array(indices, np.int64), ("picture",), chunk=_LIST)
        create_ragged(group, [pictures[index] for index in indices], "picture", compress=False)

    def rulers(self, rulers: Iterable[schema.Ruler]) -> None:
        """Record the networks that visual diversity was measured with."""
        self._rulers = list(rulers)

    def model(self, model: schema.Model) -> None:
        """Write the facts of a model and the metrics of its layers, once all of them are known."""
        layers, metrics = self._layers[model.label], self._metrics[model.label]
        names = in_order({name for values in metrics for name in values})
        units = sum(layer.units for layer in layers)
        values, first = np.full((len(names), units), np.nan, np.float32), 0
        for layer, layer_metrics in zip(layers, metrics, strict=True):
            for name, numbers in layer_metrics.items():
                values[names.index(name), first : first + layer.units] = numbers
            first += layer.units
        group = self._root.require_group(f"models/{model.label}")
        create(group, METRICS, values, ("metric", "unit"), chunk=(max(1, (1 << 16) // max(units, 1)), 1 << 14))
        facts = [
            replace(layer, lacks=[name for name in names if name not in layer_metrics]).to_attributes()
            for layer, layer_metrics in zip(layers, metrics, strict=True)
        ]
        self._models.append(model.label)
        group.attrs.update(replace(model, layer_facts=facts, metrics=names).to_attributes())

    def layers(
        self,
        model: str,
        layers: Sequence[schema.Layer],
        metrics: Sequence[dict[str, NDArray[np.float32]]],
        tops: Sequence[TopKResult],
    ) -> None:
        """Write the top lists of all layers of a model, whose images are indices in the store; keep the facts about the
        layers, and the metrics of each, float32 [units] by name.
        """
        self._layers[model], self._metrics[model] = list(layers), [dict(layer_metrics) for layer_metrics in metrics]
        group = self._root.require_group(f"models/{model}/top")
        k = tops[0].value.shape[1]
        lists = _grow(group, "value", (k,), np.float32), _grow(group, "image", (k,), np.int32)
        positions = _grow(group, "position", (k, 2), np.int32)
        maps: dict[str, GrowingArray] = {}
        for layer, top in zip(layers, tops, strict=True):
            lists[0].append(top.value)
            lists[1].append(top.image)
            positions.append(np.stack(np.divmod(top.position, max(layer.map_width, 1)), 2))
            size = map_group(layer)
            if size not in maps:
                maps[size] = _grow_maps(group.require_group("map"), layer, k)
            maps[size].append(top.map)
        for array in (*lists, positions, *maps.values()):
            array.close()

    def concepts(self, annotations: Annotations, image_count: int, iou_area: str) -> None:
        """Write the concepts of a dissection, the number of annotated images, `iou_area` (which images counted for a
        unit), and what could not be used.
        """
        concepts = annotations.concepts
        self._root.require_group(schema.CONCEPTS).attrs.update(
            {
                "names": [printable(name) for name in concepts.names],
                "category": list(concepts.category),
                "categories": list(concepts.categories),
                "source": annotations.source,
                "images": image_count,
                "iou_area": iou_area,
                "skipped": _skipped(annotations.skipped),
                "problems": list(annotations.problems),
            }
        )

    def layer_concepts(self, model: str, layers: Sequence[LayerConcepts]) -> None:
        """Write the results of dissection for all layers of a model."""
        group = self._root.require_group(f"models/{model}/concepts")
        for name in ("label", "intersection", "activation", "truth"):
            values = np.concatenate([getattr(concepts, name) for concepts in layers])
            create(group, name, values, ("unit", "category"), chunk=(1 << 12, values.shape[1]))

    def metrics(self, model: str, layer: str, metrics: dict[str, NDArray[np.float32]]) -> None:
        """Keep further metrics of a layer's units, float32 [units] by name."""
        number = [written.name for written in self._layers[model]].index(layer)
        self._metrics[model][number] |= metrics

    def filters(self, model: str, kernels: NDArray[np.float32]) -> None:
        """Write the first layer's kernels, float32 [units, 3, h, w]."""
        group, axes = self._root.require_group(f"models/{model}"), ("filter", "colour", "filter_y", "filter_x")
        create(group, "filters", kernels, axes, chunk=kernels.shape)

    def decisions(
        self, model: str, decision: NDArray[np.int32], target: NDArray[np.int32], probability: NDArray[np.float32]
    ) -> None:
        """Write a model's decision for every probe image, and the right output, -1 = none: int32 [images] each; and the
        softmax probability of the decision, float32 [images]. Nothing where the network decides nothing (all empty).
        """
        group = self._root.require_group(f"models/{model}")
        if len(decision):
            create(group, "decision", decision, ("image",), chunk=_LIST)
            create(group, "target", target, ("image",), chunk=_LIST)
            create(group, "probability", probability, ("image",), chunk=_LIST)

    def distortions(self, model: str, decisions: dict[str, NDArray[np.int32]]) -> None:
        """Write a model's decisions for every distorted probe image: int32 [images] by the distortion's name."""
        group = self._root.require_group(f"models/{model}/distortions")
        for name, decided in decisions.items():
            create(group, name, decided, ("image",), chunk=_LIST)
        group.attrs["names"] = [*group.attrs.get("names", []), *decisions]  # type: ignore[misc]  # JSON of any kind to mypy

    def adversarial(self, model: str, attacks: Iterable[Attack], right: NDArray[np.bool_]) -> None:
        """Write which probe images are classified correctly in spite of each attack, bool [attacks, images]."""
        group = self._root.require_group(f"models/{model}/adversarial")
        group.attrs["attacks"] = [attack.to_attributes() for attack in attacks]
        create(group, "right", right.astype(np.uint8), ("attack", "image"), chunk=(1, *_LIST))

    def cue_conflict(self, conflict: CueConflict) -> None:
        """Write the cue-conflict images, and every model's decisions for them."""
        group = self._root.create_group(schema.CUE_CONFLICT)
        skipped = _skipped(conflict.skipped)
        facts = schema.CueConflictImages(categories=conflict.categories, excluded=0, stimuli=conflict.stimuli)
        group.attrs.update(facts.to_attributes() | {"skipped": skipped})
        create_ragged(group.create_group("path"), conflict.paths, "path")
        create(group, "shape", conflict.shape, ("stimulus",), chunk=_LIST)
        create(group, "texture", conflict.texture, ("stimulus",), chunk=_LIST)
        for model, decision in conflict.decisions.items():
            group = self._root.require_group(schema.decisions_path(model))
            create(group, "decision", decision, ("stimulus",), chunk=_LIST)

    def attribution_images(self, facts: schema.AttributionImages, image: NDArray[np.int64]) -> None:
        """Write which probe images are explained: int64 [images], ascending indices in the store."""
        group = self._root.require_group(schema.ATTRIBUTION)
        group.attrs.update(facts.to_attributes())
        create(group, "image", image.astype(np.int32), ("explained",), chunk=_LIST)

    def attribution(self, model: str, attributed: Attributed) -> None:
        """Write the attribution maps of a model."""
        group = self._root.require_group(schema.attribution_path(model))
        methods = [method.to_attributes() for method in attributed.methods]
        group.attrs.update({"methods": methods, "left_out": attributed.method_facts.left_out})
        create(group, "target", attributed.target, ("explained",), chunk=_LIST)
        create(group, "probability", attributed.probability, ("explained",), chunk=_LIST)
        for name, values in (("scale", attributed.scale), ("gap", attributed.gap)):
            create(group, name, values, ("method", "explained"), chunk=(1 << 8, 1 << 8))
        for method in attributed.methods:
            row = (method.height, method.width)
            axes = ("explained", f"y_{method.height}", f"x_{method.width}")
            together = max(1, _MAPS // (2 * method.height * method.width))
            maps = GrowingArray(group.require_group("maps"), method.name, row, np.float16, axes, chunk=(together, *row))
            for rows in attributed.maps(method):
                maps.append(rows)
            maps.close()

    def map_scores(
        self, model: str, scores: Mapping[str, NDArray[np.float32]], facts: schema.AttributionScores
    ) -> None:
        """Write those scores of a model's maps that were measured: float32 [methods, images] by name, and `overlap`
        [methods, images, thresholds].
        """
        defined = {name: values for name, values in scores.items() if not np.isnan(values).all()}
        if not defined:
            return
        group = self._root.require_group(f"{schema.attribution_path(model)}/{schema.SCORES}")
        group.attrs.update(replace(facts, scores=list(defined)).to_attributes())
        for name, values in defined.items():
            axes = ("method", "explained", "threshold")[: values.ndim]
            create(group, name, values, axes, chunk=(1 << 8, 1 << 8, *values.shape[2:]))

    def ood(self, sets: Sequence[OodSet]) -> None:
        """Write sets of stimuli, and every model's decisions for them."""
        self._root.create_group(schema.OOD).attrs["names"] = [decided.name for decided in sets]
        for decided in sets:
            group, axis = self._root.create_group(f"{schema.OOD}/{decided.name}"), f"stimulus_{decided.name}"
            facts = schema.OodImages(
                categories=decided.categories,
                conditions=[printable(condition) for condition in decided.conditions],
                stimuli=decided.stimuli,
                skipped=_skipped(decided.skipped),
            )
            group.attrs.update(facts.to_attributes())
            create_ragged(group.create_group("path"), decided.paths, "path")
            create(group, "category", decided.category, (axis,), chunk=_LIST)
            create(group, "condition", decided.condition, (axis,), chunk=_LIST)
            for model, decision in decided.decisions.items():
                group = self._root.require_group(schema.ood_path(model))
                create(group, decided.name, decision, (axis,), chunk=_LIST)

    def activations(self, model: str, units: int, kinds: tuple[str, ...] = ("max", "mean")) -> "ActivationsWriter":
        """Return a writer for the activations of all layers of a model, `units` in all, by image; `close` it before
        `commit`.
        """
        return ActivationsWriter(self._root.require_group(f"models/{model}"), units, kinds)


class ActivationsWriter:
    """Appends rows to activations/max and activations/mean, or one of them, one shard at a time."""

    def __init__(self, group: zarr.Group, units: int, kinds: tuple[str, ...]) -> None:
        self._arrays = [
            GrowingArray(
                group.require_group("activations"),
                kind,
                (units,),
                np.float16,
                ("image", "unit"),
                chunk=(256, 64),
                shard_rows=_ROWS,
            )
            for kind in kinds
        ]

    def append(self, *rows: NDArray[np.float16]) -> None:
        """Append the activations of the next B images, float16 [B, units] for each kind; nothing without `rows`."""
        if not rows:
            return
        for array, values in zip(self._arrays, rows, strict=True):
            array.append(values)

    def close(self) -> None:
        """Write the remaining rows."""
        for array in self._arrays:
            array.close()


def _grow(group: zarr.Group, name: str, row: tuple[int, ...], dtype: Any) -> GrowingArray:
    """Return an array of a model's top lists, to which the units of one layer after the other are appended.

    `row` is a unit's shape. Each chunk is a file, as an index of chunks would cost a second read for every unit.
    """
    axes = ("unit", "rank", "yx")[: len(row) + 1]
    return GrowingArray(group, name, row, dtype, axes, chunk=(_UNITS, *row), shard_rows=_UNITS)


def _grow_maps(group: zarr.Group, layer: schema.Layer, k: int) -> GrowingArray:
    """Return an array for the maps, k of each unit, of all layers whose maps have the size of this layer's.

    Its chunks have about 64 kB and at least one unit, since all maps of a unit are read at once.
    """
    size, row = map_group(layer), (k, layer.map_height, layer.map_width)
    axes = (f"unit_{size}", "rank", f"y_{layer.map_height}", f"x_{layer.map_width}")
    together = max(1, (1 << 16) // max(1, int(np.prod(row))))
    return GrowingArray(group, size, row, np.uint8, axes, chunk=(together, *row))


def _skipped(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return the images that were left out with the reasons, ready for JSON."""
    return [{"path": printable(image.path), "reason": image.reason} for image in skipped]
