"""Writes the list of a store's files, which `core/store/manifest.py` reads."""

import json
from pathlib import Path

import numpy as np
import zarr

from shapebias.core.store.manifest import ARRAY, METADATA, file_sizes


def write_manifest(store: Path) -> None:
    """Write the list of a store's files into its folder `store`.

    The list holds the size of every file in bytes, and a copy of the content of every metadata file (`zarr.json`).
    """
    sizes = file_sizes(store)
    metadata = {name: json.loads((store / name).read_bytes()) for name in sizes if Path(name).name == METADATA}
    content = json.dumps({"files": sizes, "metadata": metadata}, separators=(",", ":")).encode()
    array = zarr.open_group(store, mode="a").create_array(
        ARRAY,
        shape=(len(content),),
        dtype=np.uint8,
        chunks=(len(content),),
        compressors=None,
        fill_value=0,
        dimension_names=("manifest_byte",),
    )
    array[:] = np.frombuffer(content, np.uint8)
