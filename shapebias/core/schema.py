"""The layout of a store (Zarr v3, format "shapebias" version 1): its names, and the facts kept as attributes.

attributes                 format, version, shapebias_version, created, settings
images/probe/              attributes: class_ids, class_names, skipped (of each: path, reason)
  path/{data,offsets}      file names as raw bytes, one after the other, relative to the image folder
  label                    int32 [images], index into class_ids, -1 = none
  thumbnails/GEOMETRY/     image int64 (ascending image indices), data + offsets: encoded pictures
models/LABEL/              attributes: see Model
  layers/NAME/             attributes: see Layer
    activations/{max,mean} float16 [images, units]
    top/value              float32 [units, k], descending; NaN where fewer than k images
    top/image              int32 [units, k], index into images/probe; -1 where fewer than k images
    top/position           int32 [units, k, 2], (y, x) of the maximum in the map
    top/map                uint8 [units, k, h, w], 255 = the unit's max, values <= 0 are 0
    metrics/METRIC         float32 [units]
"""

import re
from dataclasses import MISSING, asdict, dataclass, fields
from types import UnionType
from typing import Any, Self, get_origin, get_type_hints

FORMAT = "shapebias"
VERSION = 1
PROBE = "images/probe"

LABEL_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,63}")


@dataclass(frozen=True)
class _Attributes:
    """A dataclass that lives in a group's attributes (JSON)."""

    def to_attributes(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> Self:
        """Reads what `to_attributes` wrote; raises KeyError for a missing fact without a default, TypeError for one of
        another type, ignores unknown ones."""
        names = [field.name for field in fields(cls) if field.name in attributes or field.default is MISSING]
        found = {name: attributes[name] for name in names}
        for name, kind in get_type_hints(cls).items():
            origin = get_origin(kind)
            plain = kind if origin in (None, UnionType) else origin
            if name in found and not isinstance(found[name], plain):
                raise TypeError(f"{name} is {type(found[name]).__name__}")
        return cls(**found)


@dataclass(frozen=True)
class Layer(_Attributes):
    """A watched layer: `name` is the user's word for it (`conv5`), `module` its dotted path in the network."""

    name: str
    module: str
    units: int
    map_height: int
    map_width: int


@dataclass(frozen=True)
class Model(_Attributes):
    """A network whose units are in the store. `top1` is a fraction in [0, 1], None without usable labels.

    `weights_sha256` is of the state dict, `file_sha256` of the file that it came from (None: no file of the user's).
    `thumbnails` names the geometry under images/probe/thumbnails that shows what this network saw.
    """

    label: str
    architecture: str
    source: str
    weights_sha256: str
    preprocessing: dict[str, Any]
    thumbnails: str
    layers: list[str]
    top1: float | None
    parameters: int
    file_sha256: str | None = None


def is_safe_name(name: object) -> bool:
    """Whether a model's or layer's name in a store is one that shapebias would write: printable, short, no path."""
    return isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable() and "/" not in name


def layer_path(model: str, layer: str) -> str:
    """The group of a layer inside the store."""
    return f"models/{model}/layers/{layer}"
