"""Writes scores of attribution maps into a store that has maps, without a network."""

from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from shapebias.core.attribution.scores import THRESHOLDS
from tests.support.attribution_store import METHODS, UNMEASURED, add_attribution

NAMES = ("insertion", "deletion", "insertion_max", "deletion_max", "pointing", "pointing_exact", "mass")
WITHOUT_OBJECT = 4  # the row of an image that does not show an object of the explained class
MANY = tuple(range(0, 50, 2))  # images, enough for thresholds
FACTS = {
    "steps": 112,
    "blur": [11.0, 5.0],
    "grey": 0.5,
    "ties": "drawn",
    "tolerance": 15.0,
    "thresholds": list(THRESHOLDS),
    "objects": "masks",
}


def add_scores(store: Path, images: tuple[int, ...] = MANY, seed: int = 0, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Write maps of images and random scores of them, of every model; return the last model's scores by name.

    Each is float32 [methods, images], `overlap` [methods, images, thresholds], NaN where nothing was measured. `shift`
    is added to insertion, within [0, 1].
    """
    add_attribution(store, images)
    rng = np.random.default_rng(seed)
    root = zarr.open_group(store, mode="a")
    size = (len(METHODS), len(images))
    values: dict[str, np.ndarray] = {}
    for model in root.attrs["models"]:
        path = f"models/{model}/attribution/scores"
        root.create_group(path, attributes={**FACTS, "scores": [*NAMES, "overlap"]})
        values = {name: rng.random(size) for name in NAMES}
        values["insertion"] = (values["insertion"] + shift).clip(0, 1)
        values |= {name: np.round(values[name]) for name in ("pointing", "pointing_exact")}
        values["overlap"] = rng.random((*size, len(THRESHOLDS)))
        for name in ("pointing", "pointing_exact", "mass", "overlap"):
            values[name][:, WITHOUT_OBJECT] = np.nan
        values = {name: array.astype(np.float32) for name, array in values.items()}
        for name, array in values.items():
            array[:, UNMEASURED] = np.nan
            options = {"compressors": [Crc32cCodec()], "config": {"write_empty_chunks": True}}
            root.create_array(f"{path}/{name}", data=array, **options)
    return values
