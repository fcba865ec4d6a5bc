"""All that the arrays of a store hold, to compare stores by."""

from collections.abc import Iterator
from pathlib import Path

import zarr

from shapebias.core.store import manifest


def arrays_of(store: Path) -> dict[str, tuple[object, ...]]:
    """Every array but the manifest, which tells when the store was made: its type, shape and bytes."""

    def walk(group: zarr.Group) -> Iterator[zarr.Array]:
        for _, member in group.members():
            if isinstance(member, zarr.Array):
                yield member
            else:
                yield from walk(member)

    found = {}
    for array in walk(zarr.open_group(store, mode="r")):
        if array.path == manifest.ARRAY:
            continue
        values = array[...]
        found[array.path] = (values.dtype, values.shape, values.tobytes())
    return found
