"""Writes cue-conflict decisions into a store, without a network."""

from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

STIMULI = ["cat/cat1-dog2.png", "cat/cat2-elephant1.png", "dog/dog1-cat1.png", "elephant/elephant3-dog1.png"]


def add_cue_conflict(store: Path, categories: list[str], names: list[str], excluded: int = 0, **arrays: object) -> None:
    """Write cue-conflict images and the decisions of the model Tiny for them into a store.

    names:     the images' names
    excluded:  how many stimuli the store says were excluded
    arrays:    `shape`, `texture` and `decision` of the images
    """
    root = zarr.open_group(store, mode="a")
    root.create_group("images/cue-conflict", attributes={"categories": categories, "excluded": excluded})
    encoded = [name.encode() for name in names]
    every = {
        "images/cue-conflict/path/data": np.frombuffer(b"".join(encoded), np.uint8),
        "images/cue-conflict/path/offsets": np.cumsum([0, *map(len, encoded)]),
        "images/cue-conflict/shape": np.asarray(arrays["shape"], np.int32),
        "images/cue-conflict/texture": np.asarray(arrays["texture"], np.int32),
        "models/Tiny/cue_conflict/decision": np.asarray(arrays["decision"], np.int32),
    }
    for path, values in every.items():
        root.create_array(path, data=values, compressors=[Crc32cCodec()], config={"write_empty_chunks": True})
