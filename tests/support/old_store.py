"""Stores as version 1 of their layout had them: a group of arrays for every layer, and manifest.json."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from shapebias.core.store import manifest, schema
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store

_ARRAYS = ("top/value", "top/image", "top/position", "top/map", "activations/max", "activations/mean")
_CONCEPTS = tuple(f"concepts/{name}" for name in ("label", "intersection", "activation", "truth"))


def as_version_1(path: Path, old: Path) -> Path:
    """Write the store at `path` in the layout of version 1 at `old`, and return that."""
    shutil.copytree(path, old)
    store, root = open_store(path), zarr.open_group(old, mode="a")
    for label in store.models:
        for name in ("metrics", "top", "activations", "concepts"):
            shutil.rmtree(old / f"models/{label}/{name}", ignore_errors=True)
        group = root[f"models/{label}"]
        facts = {name: value for name, value in dict(group.attrs).items() if name not in ("layer_facts", "metrics")}
        group.attrs.put(facts)
        for layer in store.layers(label):
            _write_layer(root.require_group(schema.layer_path(label, layer)), store, label, layer)
    root.attrs["version"] = 1
    shutil.rmtree(old / manifest.ARRAY)
    (old / manifest.EARLY_NAME).write_text(json.dumps(_manifest(old)))
    return old


def _write_layer(group: zarr.Group, store: Store, model: str, layer: str) -> None:
    facts = store.layers(model)[layer].to_attributes()
    group.attrs.update({name: value for name, value in facts.items() if name != "lacks"})
    for name in store.metric_names(model, layer):
        _write(group, f"metrics/{name}", store.metric(model, layer, name))
    for name in (*_ARRAYS, *_CONCEPTS):
        if store.layer_has(model, layer, name):
            _write(group, name, store.layer_read(model, layer, name))


def _write(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    chunk = tuple(max(1, extent) for extent in values.shape)
    array = group.create_array(
        name, shape=values.shape, dtype=values.dtype, chunks=chunk, config={"write_empty_chunks": True}
    )
    array[...] = np.asarray(values)


def _manifest(store: Path) -> dict[str, Any]:
    files = {path.relative_to(store).as_posix(): path for path in store.rglob("*") if path.is_file()}
    return {
        "files": {name: file.stat().st_size for name, file in files.items()},
        "metadata": {name: json.loads(file.read_text()) for name, file in files.items() if name.endswith("zarr.json")},
    }
