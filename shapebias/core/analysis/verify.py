"""Checks whether a store is complete and consistent: every chunk, every index, and the range of every value."""

import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from PIL import Image

from shapebias.core.analysis.ood import ood_decisions
from shapebias.core.metrics import METRICS
from shapebias.core.store import manifest, schema
from shapebias.core.store.attribution import MapScores
from shapebias.core.store.concepts import layer_concepts, read_concepts, was_dissected
from shapebias.core.store.errors import StoreError
from shapebias.core.store.manifest import compare_with_manifest
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable

_BLOCK = 64 << 20  # number of bytes that are read at once
_LARGEST = 8 << 30  # most bytes that a shard can have
_MOST = 20_000  # an uncompressed array is at most so many times as large as the store's files
_LAYER = r"models/[^/]+/(layers/[^/]+/)?"  # stores of version 1 have arrays for every layer
_EXPECTED = {  # the data type and the number of axes of an array, by a pattern of its path
    manifest.ARRAY: ("uint8", 1),
    r"images/(ood/)?[^/]+/(path|thumbnails/[^/]+)/data": ("uint8", 1),
    r"images/(ood/)?[^/]+/(path|thumbnails/[^/]+)/offsets": ("int64", 1),
    r"images/probe/thumbnails/[^/]+/image": ("int64", 1),
    r"images/probe/label|images/cue-conflict/(shape|texture)": ("int32", 1),
    r"images/ood/[^/]+/(category|condition)": ("int32", 1),
    r"models/[^/]+/(decision|target|cue_conflict/decision|distortions/[^/]+|ood/[^/]+)": ("int32", 1),
    r"models/[^/]+/adversarial/right": ("uint8", 2),
    r"models/[^/]+/filters": ("float32", 4),
    r"images/attribution/image|models/[^/]+/attribution/target": ("int32", 1),
    r"models/[^/]+/(attribution/)?probability": ("float32", 1),
    r"models/[^/]+/attribution/(scale|gap)": ("float32", 2),
    r"models/[^/]+/attribution/maps/[^/]+": ("float16", 3),
    r"models/[^/]+/attribution/scores/overlap": ("float32", 3),
    r"models/[^/]+/attribution/scores/[^/]+": ("float32", 2),
    _LAYER + r"activations/(max|mean)": ("float16", 2),
    _LAYER + r"top/value": ("float32", 2),
    _LAYER + r"top/image": ("int32", 2),
    _LAYER + r"top/position": ("int32", 3),
    _LAYER + r"top/map(/\d+x\d+)?": ("uint8", 4),
    r"models/[^/]+/metrics": ("float32", 2),
    _LAYER + r"metrics/[^/]+": ("float32", 1),
    _LAYER + r"concepts/label": ("int32", 2),
    _LAYER + r"concepts/(intersection|activation|truth)": ("int64", 2),
}


@dataclass
class VerifyReport:
    """The result of checking a store.

    arrays, files, bytes:  how many arrays and files were checked, and the bytes of all files
    units:                 how many units were computed again and compared
    wrong:                 (path in the store, what is wrong) of each problem, printable
    notes:                 what could not be checked, one line each
    """

    arrays: int = 0
    files: int = 0
    bytes: int = 0
    units: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, path: str, problem: str) -> None:
        """Note that `what` is wrong at a path in the store."""
        self.wrong.append((printable(path, 300), printable(problem, 300)))

    def check_range(self, path: str, values: NDArray[Any], low: float, high: float | None = None) -> None:
        """Note a problem if the array at `path` has `values` below `low` or above `high` (None: any are right)."""
        if values.size and (values.min() < low or (high is not None and values.max() > high)):
            most = "" if high is None else f" to {high:g}"
            self.add(path, f"values from {values.min():g} to {values.max():g}, where {low:g}{most} is possible")

    def add_error(self, error: StoreError, path: str = "") -> None:
        """Note an error of reading as a problem at `path`, or if that is empty, where the error says."""
        self.add(path or error.where or ".", error.problem)


def verify_store(path: Path, advance: Callable[[str], None] = lambda path: None) -> VerifyReport:
    """Read all of a single store and return what is wrong. `advance` is called with the path of every array before it
    is read.

    Raises StoreError where the store or its manifest cannot be read at all, and where it is a file (zipped).
    """
    report = VerifyReport()
    if path.is_file():
        raise StoreError(f"{printable(str(path))} is verified as a folder: unzip it first", path)
    _check_files(path, report)
    store = open_store(path)
    arrays = dict(_arrays(path, report))
    report.arrays = len(arrays)
    for name, array in arrays.items():
        advance(name)
        _check_array(name, array, report)
        _read(store, name, array, report)
    for check in (_check_images, _check_models, _check_cue_conflict, _check_ood, _check_attribution):
        try:
            check(store, report)
        except StoreError as error:
            report.add_error(error)
    return report


def _check_files(path: Path, report: VerifyReport) -> None:
    files = [file for file in path.rglob("*") if file.is_file()]
    report.files, report.bytes = len(files), sum(file.stat().st_size for file in files)
    differences = compare_with_manifest(path)
    if differences is None:
        report.notes.append("the store has no manifest, as those of early versions: metadata could not be checked")
        return
    wrong, unknown = differences
    for name, problem in wrong:
        report.add(name, problem)
    report.notes += [f"{printable(name, 200)} does not belong to the store" for name in unknown]


def _arrays(path: Path, report: VerifyReport) -> Iterator[tuple[str, "zarr.Array[Any]"]]:
    """Yield every array with its path in the store; note groups and arrays whose metadata cannot be read."""
    for file in sorted(path.rglob("zarr.json")):
        name = file.parent.relative_to(path).as_posix()
        try:
            node = zarr.open(file.parent, mode="r")
        except Exception as error:  # zarr raises errors of nearly every kind
            report.add(f"{name}/zarr.json", f"the metadata cannot be read: {error or type(error).__name__}")
            continue
        if isinstance(node, zarr.Array):
            yield name, node


def _check_array(name: str, array: "zarr.Array[Any]", report: VerifyReport) -> None:
    for pattern, (dtype, axes) in _EXPECTED.items():
        if re.fullmatch(pattern, name):
            if str(array.dtype) != dtype or array.ndim != axes:
                report.add(name, f"it is {array.dtype} of {array.ndim} axes, not {dtype} of {axes}")
            return
    report.notes.append(f"{printable(name, 200)} is an array that this version does not know")


def _read(store: Store, name: str, array: "zarr.Array[Any]", report: VerifyReport) -> None:
    """Read every chunk of an array, which checks their checksums; note what cannot be read."""
    size = array.dtype.itemsize
    try:
        store.array(name)  # zarr would read a chunk whose file is missing as fill values
        step = (array.shards or array.chunks)[0]
        row = math.prod(array.shape[1:]) * size
        if row * step > _LARGEST or math.prod(array.shape) * size > _MOST * max(report.bytes, 1):
            raise ValueError(f"its shape {array.shape} is impossible for its files")
        rows = max(step, _BLOCK // max(row, 1) // step * step)
        for first in range(0, array.shape[0], rows):
            array[first : first + rows]
    except StoreError as error:
        report.add_error(error, name)
    except Exception as error:  # zarr and its codecs raise errors of nearly every kind
        report.add(name, str(error) or type(error).__name__)


def _check_images(store: Store, report: VerifyReport) -> None:
    """Check paths and labels, and that every image in a top list has a picture that can be decoded."""
    images, classes = len(store.image_paths), len(store.class_names)
    labels = store.labels
    if labels.size and not -1 <= labels.min() <= labels.max() < classes:
        report.add(f"{schema.PROBE}/label", f"labels from {labels.min()} to {labels.max()}, of {classes} classes")
    for key, models in _by_thumbnails(store).items():
        named = [np.unique(store.top_lists(model, layer, "image")) for model in models for layer in store.layers(model)]
        for image in np.unique(np.concatenate(named)):
            if not -1 <= image < images:
                continue  # already reported for the layer
            try:
                if image >= 0:
                    Image.open(io.BytesIO(store.thumbnail(models[0], int(image))), formats=("JPEG", "PNG")).load()
            except StoreError as error:
                report.add_error(error, f"{schema.PROBE}/thumbnails/{key}")
            except Exception:  # Pillow's decoders raise errors of nearly every kind
                report.add(f"{schema.PROBE}/thumbnails/{key}", f"the picture of image {image} cannot be decoded")


def _by_thumbnails(store: Store) -> dict[str, list[str]]:
    keys = dict.fromkeys(model.thumbnails for model in store.models.values())
    return {key: [label for label, model in store.models.items() if model.thumbnails == key] for key in keys}


def _check_models(store: Store, report: VerifyReport) -> None:
    images = len(store.image_paths)
    for model in store.models:
        for name in ("decision", "target"):
            path = f"models/{model}/{name}"
            if store.has(path):
                report.check_range(path, store.read(path, shape=[images]), -1)
        path = f"models/{model}/probability"
        if store.has(path):
            report.check_range(path, store.read(path, shape=[images]), 0, 1 + 1e-5)
        for layer in store.layers(model):
            try:
                _check_layer(store, model, layer, report)
            except StoreError as error:
                report.add_error(error, f"{model}/{layer}")


def _check_layer(store: Store, model: str, layer: str, report: VerifyReport) -> None:
    path, facts = f"{model}/{layer}", store.layers(model)[layer]
    metrics = {name: store.metric(model, layer, name) for name in store.metric_names(model, layer)}
    for name, values in metrics.items():
        low, high = METRICS[name].range
        slack = 1e-5 * max(1.0, abs(low) if math.isfinite(low) else 0, abs(high) if math.isfinite(high) else 0)
        report.check_range(f"{path}/metrics/{name}", values[~np.isnan(values)], low - slack, high + slack)
    for kind in ("max", "mean"):
        if store.layer_has(model, layer, f"activations/{kind}"):
            store.activations(model, layer, kind)
    image, value, position = (store.top_lists(model, layer, name) for name in ("image", "value", "position"))
    report.check_range(f"{path}/top/image", image, -1, len(store.image_paths) - 1)
    report.check_range(f"{path}/top/position", position[..., 0], 0, facts.map_height - 1)
    report.check_range(f"{path}/top/position", position[..., 1], 0, facts.map_width - 1)
    _check_values(path, report, image=image, value=value, most=metrics.get("max"))
    for unit in range(facts.units):
        top = store.top(Unit(model, layer, unit))
        if len(top.value) and 0 < top.value[0] < np.inf and top.map[0].max() != 255:
            report.add(f"{path}/top/map", f"the strongest map of unit {unit} does not reach 255")
    _check_concepts(store, model, layer, report)


def _check_values(
    path: str, report: VerifyReport, *, image: NDArray[Any], value: NDArray[Any], most: NDArray[np.float32] | None
) -> None:
    """Check a layer's top lists: they are sorted, have a value for each image, and begin with the unit's maximum.

    image, value [units, k] are the lists, image -1 and value NaN where a list is shorter; `most` [units] are the units'
    maxima, None where they are unknown. `path` names the layer in the report.
    """
    if value.shape != image.shape or (np.isnan(value) != (image < 0)).any():
        report.add(f"{path}/top/value", "values are NaN where there are images, or numbers where there are none")
        return
    filled = np.where(image < 0, -np.inf, value)
    if (filled[:, 1:] > filled[:, :-1]).any():
        report.add(f"{path}/top/value", "the lists are not sorted")
    if most is not None and value.shape[1] and (image[:, 0] >= 0).any():
        first = image[:, 0] >= 0
        if not np.array_equal(value[first, 0], most[first]):
            report.add(f"{path}/top/value", "the strongest image's value is not the unit's max")


def _check_concepts(store: Store, model: str, layer: str, report: VerifyReport) -> None:
    path, concepts = f"{model}/{layer}/concepts", read_concepts(store)
    if concepts is None or not was_dissected(store, model, layer):
        return
    counts = layer_concepts(store, concepts, model, layer)
    kinds = {"intersection": counts.intersection, "activation": counts.activation, "truth": counts.truth}
    for name, values in kinds.items():
        report.check_range(f"{path}/{name}", values, 0)
    if (counts.intersection > np.minimum(counts.activation, counts.truth)).any():
        report.add(f"{path}/intersection", "the intersection is larger than one of the two areas")


def _check_cue_conflict(store: Store, report: VerifyReport) -> None:
    for model in store.models:
        decisions = store.cue_conflict(model)
        if decisions is None:
            continue
        last = len(decisions.categories) - 1
        report.check_range(f"{schema.CUE_CONFLICT}/shape", decisions.shape, 0, last)
        report.check_range(f"{schema.CUE_CONFLICT}/texture", decisions.texture, 0, last)
        report.check_range(f"{schema.decisions_path(model)}/decision", decisions.decision, -1, last)


def _check_attribution(store: Store, report: VerifyReport) -> None:
    """Check the arrays of attribution, and that maps match their scales.

    The largest |value| of a stored map is 1 where its scale is above 0, and 0 where the map is constant or missing.
    """
    for model in store.models:
        attribution, path = store.attribution(model), schema.attribution_path(model)
        if attribution is None:
            continue
        image = attribution.image
        report.check_range(f"{schema.ATTRIBUTION}/image", image, 0, len(store.image_paths) - 1)
        if (np.diff(image) <= 0).any():
            report.add(f"{schema.ATTRIBUTION}/image", "the images are not in ascending order")
        report.check_range(f"{path}/target", attribution.target, -1)
        explained = attribution.target >= 0
        if (np.isnan(attribution.probability) == explained).any():
            report.add(
                f"{path}/probability", "probabilities are NaN where there are targets, or numbers where there are none"
            )
        report.check_range(f"{path}/probability", attribution.probability[explained], 0, 1 + 1e-5)
        _check_scores(f"{path}/{schema.SCORES}", attribution.scores, report)
        scale = attribution.scale
        if (~np.isnan(scale)[:, ~explained]).any() or not ((scale >= 0) & (scale < np.inf) | np.isnan(scale)).all():
            report.add(f"{path}/scale", "a scale is negative or infinite, or belongs to an image that is not explained")
        for number, method in enumerate(attribution.methods):
            for row, stored_scale in enumerate(scale[number].tolist()):
                largest = float(np.abs(attribution.read(method, row).astype(np.float32)).max(initial=0))
                if largest != (1 if stored_scale > 0 else 0):
                    report.add(
                        f"{path}/maps/{method}",
                        f"the map of row {row} is up to {largest:g}, its scale {stored_scale:g}",
                    )


def _check_scores(path: str, scores: MapScores | None, report: VerifyReport) -> None:
    """Check that all measured scores of maps are in [0, 1]."""
    if scores is None:
        return
    arrays = {**scores.values, **({} if scores.overlap is None else {schema.OVERLAP: scores.overlap})}
    for name, values in arrays.items():
        report.check_range(f"{path}/{name}", values[~np.isnan(values)], 0, 1 + 1e-5)


def _check_ood(store: Store, report: VerifyReport) -> None:
    """Check that the models' decisions for sets of stimuli match the sets."""
    for model in store.models:
        try:
            ood_decisions(store, model)
        except StoreError as error:
            report.add_error(error)
