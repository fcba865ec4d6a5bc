"""All that the arrays of a store hold, to compare stores by."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from shapebias.core.store import manifest


def arrays_of(store: Path) -> dict[str, tuple[object, ...]]:
    """Return each array's type, shape and bytes by its path, but not the manifest, which tells when it was made."""

    def walk(group: zarr.Group) -> Iterator["zarr.Array[Any]"]:
        for _, member in group.members():
            if isinstance(member, zarr.Array):
                yield member
            else:
                yield from walk(member)

    arrays_by_path: dict[str, tuple[object, ...]] = {}
    for array in walk(zarr.open_group(store, mode="r")):
        if array.path == manifest.ARRAY:
            continue
        values = np.asarray(array[...])
        arrays_by_path[array.path] = (values.dtype, values.shape, values.tobytes())
    return arrays_by_path
