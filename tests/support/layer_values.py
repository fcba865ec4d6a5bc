"""Changes the numbers of a layer in a store, for tests of damaged or unusual values."""

from pathlib import Path
from typing import Any

import zarr

from shapebias.core.store.layout import LayerArray
from shapebias.core.store.opening import open_store


def set_values(store: Path, layer: tuple[str, str], name: str, selection: Any, values: Any) -> None:
    """Set what `store.layer_read(*layer, name, *selection)` returns; `layer` is (model, layer)."""
    part: LayerArray = open_store(store).layer_array(*layer, name)
    array = zarr.open_array(store / part.path, mode="r+")
    array[part.whole_selection(selection)] = values


def chunks_of(store: Path, layer: tuple[str, str], name: str) -> list[Path]:
    """Return the files of the array that holds a layer's numbers called `name`, those of other layers included."""
    path = open_store(store).layer_array(*layer, name).path
    return sorted(file for file in (store / path / "c").rglob("*") if file.is_file())
