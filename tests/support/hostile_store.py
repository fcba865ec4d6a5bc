"""A store whose names would act in a page, if they were not text there."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

MARKUP = "<img src=x onerror=\"alert('owned')\">"  # without a slash: what may be the name of a model or layer
CLOSING = "]]></text></svg></title></style></script></table><script>alert('owned')</script><svg/onload=alert(1)>"
FORMULA = r"$\frac{x$ {{ 7 * 7 }} {% raw %} `<b>`"
SCRIPT_LINK = "javascript:alert(1)"


def hostile_copy(store: Path, path: Path) -> Path:
    """Copy a dissected store of the network Tiny and give its model, layers, classes, concepts, images and notes names
    with markup."""
    shutil.copytree(store, path)
    (path / "models/Tiny").rename(path / f"models/{MARKUP}")
    root = zarr.open_group(path, mode="a")
    model: Any = root[f"models/{MARKUP}"]
    names = {"block1": f"{MARKUP}1", "block2": FORMULA.replace("/", "")}
    root.attrs["models"] = [MARKUP]
    root.attrs["notes"] = [CLOSING, MARKUP]
    root.attrs["created"] = MARKUP
    settings: Any = root.attrs["settings"]
    root.attrs["settings"] = settings | {"images": CLOSING, "variants": [[MARKUP, CLOSING]], "models": [CLOSING]}
    facts = [
        layer | {"name": names.get(layer["name"], layer["name"]), "ending": CLOSING}
        for layer in model.attrs["layer_facts"]
    ]
    model.attrs.update(
        {"label": MARKUP, "architecture": CLOSING, "source": SCRIPT_LINK, "layer_facts": facts}
        | {"layers": [names.get(name, name) for name in model.attrs["layers"]]}
        | {"preprocessing": {MARKUP: CLOSING}}
    )
    probe: Any = root["images/probe"]
    probe.attrs["class_names"] = [CLOSING if number % 2 else FORMULA for number in range(10)]
    probe.attrs["skipped"] = [{"path": CLOSING, "reason": MARKUP}]
    concepts: Any = root["concepts"]
    concepts.attrs["names"] = [f"{CLOSING}{number}" for number, _ in enumerate(concepts.attrs["names"])]
    concepts.attrs["categories"] = [f"{MARKUP}{number}" for number, _ in enumerate(concepts.attrs["categories"])]
    paths = [f"{CLOSING}{number}.png".encode() + b"\xff" for number in range(50)]
    for part, values in {
        "data": np.frombuffer(b"".join(paths), np.uint8),
        "offsets": np.cumsum([0, *map(len, paths)]),
    }.items():
        options = {"compressors": [Crc32cCodec()], "config": {"write_empty_chunks": True}, "overwrite": True}
        probe.create_array(f"path/{part}", data=values, **options)
    return path
