"""Writes decisions for sets of stimuli into a store, without a network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

CATEGORIES = ["cat", "dog", "elephant"]


def add_set(
    store: Path,
    name: str,
    images: Sequence[str],
    decided: Sequence[str | None],
    *,
    conditions: Sequence[str] = (),
    categories: list[str] = CATEGORIES,
) -> None:
    """Write a set of stimuli, and the decisions of the model Tiny for them, into a store.

    images:      the images' paths, in folders of their categories
    decided:     the category that the model decides for each image; None for no category
    conditions:  each image's condition; empty for a set without conditions
    """
    root = zarr.open_group(store, mode="a")
    group = root.require_group("images/ood")
    group.attrs["names"] = [*group.attrs.get("names", []), name]  # type: ignore[misc]
    known = list(dict.fromkeys(conditions))
    facts = {"categories": categories, "conditions": known, "stimuli": "native", "skipped": []}
    group.create_group(name, attributes=facts)
    encoded = [image.encode() for image in images]
    arrays = {
        f"images/ood/{name}/path/data": np.frombuffer(b"".join(encoded), np.uint8),
        f"images/ood/{name}/path/offsets": np.cumsum([0, *map(len, encoded)]),
        f"images/ood/{name}/category": [categories.index(image.split("/")[0]) for image in images],
        f"images/ood/{name}/condition": [known.index(one) for one in conditions] or [-1] * len(images),
        f"models/Tiny/ood/{name}": [-1 if one is None else categories.index(one) for one in decided],
    }
    for path, values in arrays.items():
        array = np.asarray(values) if path.endswith(("data", "offsets")) else np.asarray(values, np.int32)
        root.create_array(path, data=array, compressors=[Crc32cCodec()], config={"write_empty_chunks": True})
