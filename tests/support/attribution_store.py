"""Writes attribution into a store, without a network: maps whose values are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

METHODS = {  # family, whether signed, height and width
    "gradient": ("gradient", True, 32, 32),
    "rise": ("perturbation", False, 32, 32),
    "grad-cam": ("cam", False, 4, 4),
    "center": ("control", False, 32, 32),
}
IMAGES = (0, 3, 7, 12, 30, 49)
CONSTANT, UNMEASURED = 2, 3  # the rows of a map without evidence (gradient's), and of an image that is not explained


def add_attribution(store: Path, images: Sequence[int] = IMAGES, seed: int = 0) -> dict[str, np.ndarray]:
    """Write attribution of every model into a store; return the raw maps, float32 [models, images, h, w] by method.

    Row 2 of `gradient` is constant; the image of row 3 has no target, so that nothing was measured.
    """
    rng = np.random.default_rng(seed)
    root = zarr.open_group(store, mode="a")
    facts = {"target_rule": "label", "seed": 0, "requested": len(images)}
    root.create_group("images/attribution", attributes=facts)
    arrays: dict[str, np.ndarray] = {"images/attribution/image": np.array(images, np.int32)}
    raw: dict[str, list[np.ndarray]] = {name: [] for name in METHODS}
    for model in root.attrs["models"]:
        path = f"models/{model}/attribution"
        methods = [
            {"name": name, "settings": {}, "family": family, "signed": signed, "height": height, "width": width}
            for name, (family, signed, height, width) in METHODS.items()
        ]
        root.create_group(path, attributes={"methods": methods})
        known = np.arange(len(images)) != UNMEASURED
        target = np.where(known, rng.integers(0, 10, len(images)), -1)
        scales = []
        for name, (_, signed, height, width) in METHODS.items():
            maps = rng.uniform(-1 if signed else 0, 1, (len(images), height, width)).astype(np.float32) / 50
            maps[UNMEASURED] = 0
            if name == "gradient":
                maps[CONSTANT] = 0
            scale = np.abs(maps).max((1, 2))
            raw[name].append(maps)
            arrays[f"{path}/maps/{name}"] = (maps / np.where(scale > 0, scale, 1)[:, None, None]).astype(np.float16)
            scales.append(np.where(known, scale, np.nan).astype(np.float32))
        arrays[f"{path}/target"] = target.astype(np.int32)
        arrays[f"{path}/probability"] = np.where(known, rng.uniform(0, 1, len(images)), np.nan).astype(np.float32)
        arrays[f"{path}/scale"] = np.stack(scales)
        arrays[f"{path}/gap"] = np.full((len(METHODS), len(images)), np.nan, np.float32)
    for path, values in arrays.items():
        root.create_array(path, data=values, compressors=[Crc32cCodec()], config={"write_empty_chunks": True})
    return {name: np.stack(maps) for name, maps in raw.items()}
