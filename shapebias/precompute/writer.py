"""The only code that writes a store: beside its place first, then there in one rename."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

import shapebias
from shapebias.core.concepts import LayerConcepts
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import CannotWriteError, sync, sync_tree
from shapebias.core.store import schema
from shapebias.core.store.manifest import write_manifest
from shapebias.core.text import printable
from shapebias.precompute.attack import Attack
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.measures.cue_conflict import CueConflict
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.stopping import uninterrupted
from shapebias.precompute.unfinished import StartAgainError, UnfinishedRun

_ROWS = 1024  # images a shard of the activations holds; what is buffered before it is written
_PUT_RIGHT = "put that right and give the same command to go on"
_RAGGED_CHUNK, _RAGGED_SHARD = 1 << 20, 1 << 26


class StoreWriter:
    """A store in the making, in the folder of an unfinished run. It exists under its name only after `commit`."""

    def __init__(self, path: Path, overwrite: bool, settings: dict[str, Any]) -> None:
        """Raises UsageError where `path` is taken, ShapebiasError where it cannot be written or another run does."""
        if not path.name:
            raise UsageError(f"{printable(str(path))} cannot be a store: name a folder that does not exist yet")
        real = Path(os.path.realpath(path))  # a link to a store stays a link
        if os.path.lexists(path) and not os.path.lexists(real):
            raise UsageError(f"{printable(str(path))} is a broken link: remove it, or choose another --store")
        self.path = real
        self.unfinished = UnfinishedRun(self.path)
        self._store = self.unfinished.folder / "store"
        self._models: list[str] = []
        self._rulers: list[schema.Ruler] = []
        self._device: dict[str, Any] = {}
        self._overwrite, self._settings = overwrite, settings
        self._check_free()

    def _check_free(self) -> None:
        if not os.path.lexists(self.path):
            return
        path_text = printable(str(self.path))
        if not self._overwrite:
            raise UsageError(f"{path_text} exists: pass --overwrite to replace it, or another --store")
        if not self._is_ours():
            raise UsageError(f"{path_text} is not a store, so it is not overwritten: choose another --store")

    def _is_ours(self) -> bool:
        """Return whether a store of shapebias is there, or an empty folder: nothing else is ever replaced."""
        if not self.path.is_dir():
            return False
        root = self.path / "zarr.json"
        return b'"shapebias"' in root.read_bytes() if root.is_file() else not any(self.path.iterdir())

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
        """Note what the store was measured on, as JSON."""
        self._device = facts

    def commit(self) -> int:
        """Put the finished store in its place, in one rename; the old one goes only then. Return its size in bytes."""
        self._root.attrs.update(
            {
                "format": schema.FORMAT,
                "version": schema.VERSION,
                "shapebias_version": shapebias.__version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "settings": self._settings,
                "device": self._device,
                "models": self._models,
                "rulers": [ruler.to_attributes() for ruler in self._rulers],
            }
        )
        write_manifest(self._store)
        size = sum(file.stat().st_size for file in self._store.rglob("*") if file.is_file())
        self._check_free()
        sync_tree(self._store)
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
        """Write the probe images that were used (positions in the listing), and why the others were not."""
        group = self._root.require_group(schema.PROBE)
        group.attrs.update(
            {
                "class_ids": [printable(name) for name in image_set.class_ids],
                "class_names": [printable(name) for name in image_set.class_names],
                "skipped": _skipped(skipped),
            }
        )
        self._ragged(group.create_group("path"), [image_set.paths[position] for position in used])
        _create(group, "label", image_set.labels[used].astype(np.int32), chunk=(1 << 16,))

    def thumbnails(self, key: str, pictures: dict[int, bytes]) -> None:
        """Write the encoded pictures of a geometry, by image index."""
        group = self._root.create_group(f"{schema.PROBE}/thumbnails/{key}")
        indices = sorted(pictures)
        _create(group, "image", np.array(indices, np.int64), chunk=(1 << 16,))
        self._ragged(group, [pictures[index] for index in indices], compress=False)

    def _ragged(self, group: zarr.Group, items: list[bytes], compress: bool = True) -> None:
        """Write byte strings one after another, and where each begins and ends."""
        offsets = np.zeros(len(items) + 1, np.int64)
        np.cumsum([len(item) for item in items], out=offsets[1:])
        data = np.frombuffer(b"".join(items), np.uint8)
        _create(group, "data", data, chunk=(_RAGGED_CHUNK,), shard=(_RAGGED_SHARD,), compress=compress)
        _create(group, "offsets", offsets, chunk=(1 << 16,))

    def rulers(self, rulers: Iterable[schema.Ruler]) -> None:
        """Note what visual diversity was measured by."""
        self._rulers = list(rulers)

    def model(self, model: schema.Model) -> None:
        """Write the facts of a model, once its layers are written."""
        self._models.append(model.label)
        self._root.require_group(f"models/{model.label}").attrs.update(model.to_attributes())

    def layer(self, model: str, layer: schema.Layer, metrics: dict[str, NDArray[np.float32]], top: TopKResult) -> None:
        """Write what the pass gave a layer, in the shapes of the schema."""
        group = self._root.require_group(schema.layer_path(model, layer.name))
        group.attrs.update(layer.to_attributes())
        self.metrics(model, layer.name, metrics)
        y, x = np.divmod(top.position, max(layer.map_width, 1))
        k = top.value.shape[1]
        lists = (min(4096, layer.units), k)
        _create(group, "top/value", top.value, chunk=lists)
        _create(group, "top/image", top.image.astype(np.int32), chunk=lists)
        _create(group, "top/position", np.stack([y, x], 2).astype(np.int32), chunk=(*lists, 2))
        tile = (1, k, layer.map_height, layer.map_width)
        shard = (min(layer.units, max(1, (64 << 20) // int(np.prod(tile)))), *tile[1:])
        _create(group, "top/map", top.map, chunk=tile, shard=shard)

    def concepts(self, annotations: Annotations, image_count: int, iou_area: str) -> None:
        """Write the concepts of a dissection, over how many images, where a unit's pixels counted, and what of the
        annotation could not be used."""
        known = annotations.concepts
        self._root.require_group(schema.CONCEPTS).attrs.update(
            {
                "names": [printable(name) for name in known.names],
                "category": list(known.category),
                "categories": list(known.categories),
                "source": annotations.source,
                "images": image_count,
                "iou_area": iou_area,
                "skipped": _skipped(annotations.skipped),
                "problems": list(annotations.problems),
            }
        )

    def layer_concepts(self, model: str, layer: str, concepts: LayerConcepts) -> None:
        """Write what dissection found about a layer."""
        group = self._root.require_group(f"{schema.layer_path(model, layer)}/concepts")
        for name in ("label", "intersection", "activation", "truth"):
            values = getattr(concepts, name)
            _create(group, name, values, chunk=(1 << 16, values.shape[1]))

    def metrics(self, model: str, layer: str, metrics: dict[str, NDArray[np.float32]]) -> None:
        """Write metrics of a layer's units, float32 [units] by name: all of them, or some more."""
        group = self._root.require_group(schema.layer_path(model, layer))
        for name, values in metrics.items():
            _create(group, f"metrics/{name}", values.astype(np.float32), chunk=(1 << 16,))

    def filters(self, model: str, kernels: NDArray[np.float32]) -> None:
        """Write the first layer's kernels, float32 [units, 3, h, w]."""
        _create(self._root.require_group(f"models/{model}"), "filters", kernels, chunk=kernels.shape)

    def decisions(self, model: str, decision: NDArray[np.int32], target: NDArray[np.int32]) -> None:
        """Write what a model decides for every probe image, and the output that is right, int32 [images]."""
        group = self._root.require_group(f"models/{model}")
        if len(decision):
            _create(group, "decision", decision, chunk=(1 << 16,))
            _create(group, "target", target, chunk=(1 << 16,))

    def distortions(self, model: str, decisions: dict[str, NDArray[np.int32]]) -> None:
        """Write what a model decides for every probe image, distorted: int32 [images] by the distortion's name."""
        group = self._root.require_group(f"models/{model}/distortions")
        for name, decided in decisions.items():
            _create(group, name, decided, chunk=(1 << 16,))
        group.attrs["names"] = [*group.attrs.get("names", []), *decisions]  # type: ignore[misc]  # JSON of any kind to mypy

    def adversarial(self, model: str, attacks: Iterable[Attack], right: NDArray[np.bool_]) -> None:
        """Write which probe images withstand each attack, bool [attacks, images]."""
        group = self._root.require_group(f"models/{model}/adversarial")
        group.attrs["attacks"] = [attack.to_attributes() for attack in attacks]
        _create(group, "right", right.astype(np.uint8), chunk=(1, 1 << 16))

    def cue_conflict(self, conflict: CueConflict) -> None:
        """Write the cue-conflict images, and what every model decides for them."""
        group = self._root.create_group(schema.CUE_CONFLICT)
        skipped = _skipped(conflict.skipped)
        facts = schema.CueConflictImages(categories=conflict.categories, excluded=0, stimuli=conflict.stimuli)
        group.attrs.update(facts.to_attributes() | {"skipped": skipped})
        self._ragged(group.create_group("path"), conflict.paths)
        _create(group, "shape", conflict.shape, chunk=(1 << 16,))
        _create(group, "texture", conflict.texture, chunk=(1 << 16,))
        for model, decision in conflict.decisions.items():
            _create(self._root.require_group(schema.decisions_path(model)), "decision", decision, chunk=(1 << 16,))

    def activations(
        self, model: str, layer: str, image_count: int, units: int, *, kinds: tuple[str, ...] = ("max", "mean")
    ) -> "ActivationsWriter":
        """Return a writer of the activations of a layer by image, `image_count` at most; `close` it before `commit`."""
        return ActivationsWriter(self._root.require_group(schema.layer_path(model, layer)), image_count, units, kinds)


class ActivationsWriter:
    """Appends to activations/max and activations/mean, or one of them, a shard of rows at a time."""

    def __init__(self, group: zarr.Group, image_count: int, units: int, kinds: tuple[str, ...]) -> None:
        self._filled = self._written = 0
        self.units = units
        self._arrays = []
        self._buffers = []
        rows = min(_ROWS, max(image_count, 1))
        chunk = (min(256, rows), min(64, units))
        shard = tuple(-(-extent // size) * size for extent, size in zip((rows, units), chunk, strict=True))
        for kind in kinds:
            shape = (max(image_count, 1), units)
            self._arrays.append(_array(group, f"activations/{kind}", shape, np.float16, chunk=chunk, shard=shard))
            self._buffers.append(np.empty((shard[0], units), np.float16))

    def append(self, *rows: NDArray[np.float16]) -> None:
        """Append the next B images, float16 [B, units] of each kind."""
        taken, count = 0, len(rows[0]) if rows else 0
        while taken < count:
            room = min(len(self._buffers[0]) - self._filled, count - taken)
            for buffer, values in zip(self._buffers, rows, strict=True):
                buffer[self._filled : self._filled + room] = values[taken : taken + room]
            self._filled += room
            taken += room
            if self._filled == len(self._buffers[0]):
                self._flush()

    def _flush(self) -> None:
        for array, buffer in zip(self._arrays, self._buffers, strict=True):
            array[self._written : self._written + self._filled] = buffer[: self._filled]
        self._written += self._filled
        self._filled = 0

    def close(self) -> None:
        """Write what is left and cut the arrays to the images that came."""
        self._flush()
        for array in self._arrays:
            array.resize((self._written, self.units))


def _skipped(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return images that were left out, and why, as JSON."""
    return [{"path": printable(image.path), "reason": image.reason} for image in skipped]


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    *,
    chunk: tuple[int, ...],
    shard: tuple[int, ...] | None,
    compress: bool = True,
) -> "zarr.Array[Any]":
    """Create an array with a checksum on every chunk; chunks of nothing but fill values are written too, so that a
    missing file is never mistaken for one."""
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunk,
        shards=shard,
        compressors=[ZstdCodec(level=1), Crc32cCodec()] if compress else [Crc32cCodec()],
        fill_value=np.nan if np.issubdtype(dtype, np.floating) else 0,
        config={"write_empty_chunks": True},
    )


def _create(
    group: zarr.Group,
    name: str,
    values: NDArray[Any],
    *,
    chunk: tuple[int, ...],
    shard: tuple[int, ...] | None = None,
    compress: bool = True,
) -> None:
    """Write `values` as an array; chunks and shards shrink to it."""
    chunk = tuple(max(1, min(size, extent)) for size, extent in zip(chunk, values.shape, strict=True))
    if shard is not None:
        shard = tuple(
            max(size, min(whole, -(-extent // size) * size) // size * size)
            for whole, size, extent in zip(shard, chunk, values.shape, strict=True)
        )
    array = _array(group, name, values.shape, values.dtype, chunk=chunk, shard=shard, compress=compress)
    if values.size:
        array[...] = values
