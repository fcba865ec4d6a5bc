"""The layout of a store (Zarr v3, format "shapebias" version 2): its names, and the facts kept as attributes.

attributes                 format, version, shapebias_version, created, settings, folder (where the run was started),
                           device, rulers (see Ruler)
manifest                   uint8: the bytes of a JSON file, see manifest.py
images/probe/              attributes: class_ids, class_names, skipped (of each: path, reason)
  path/{data,offsets}      file names as raw bytes, one after the other, relative to the image folder
  label                    int32 [images], index into class_ids, -1 = none
  thumbnails/GEOMETRY/     image int64 (ascending image indices), data + offsets: encoded pictures
images/cue-conflict/       attributes: see CueConflictImages; only where a network decided for such images
  path/{data,offsets}      as in images/probe, of the images used; in early stores only those with two categories
  shape, texture           int32 [images], index into categories
images/attribution/        attributes: see AttributionImages; where attribution was measured
  image                    int32 [images], ascending indices into images/probe
images/ood/                attributes: names (of the sets of stimuli that networks decided for)
images/ood/SET/            attributes: see OodImages
  path/{data,offsets}      as in images/probe, of the images used
  category, condition      int32 [images], indices into categories and conditions; condition -1 = none
concepts/                  attributes: names, category (of each name, index into categories), categories, and of what
                           was dissected: source, images, iou_area, skipped, problems; where any was dissected
models/LABEL/              attributes: see Model, with the facts of every layer. Units are those of all layers, one
                           layer after the other
  metrics                  float32 [metrics, units], in the order of the attribute `metrics`; NaN where a layer
                           lacks one
  activations/{max,mean}   float16 [images, units]: larger than CLIPPED is stored as that, below FAINT it is coarse,
                           and below 2^-25 it is 0. Metrics and top lists are float32, from what was computed
  top/value                float32 [units, k], descending; NaN where fewer than k images
  top/image                int32 [units, k], index into images/probe; -1 where fewer than k images
  top/position             int32 [units, k, 2], (y, x) of the maximum in the map
  top/map/HEIGHTxWIDTH     uint8 [units with maps of that size, k, h, w], 255 = the unit's max, values <= 0 are 0
  concepts/label           int32 [units, categories]: each category's best concept, index into names, -1 = none
  concepts/{intersection,activation,truth}   int64 [units, categories]: pixel counts, see core/concepts.py
  cue_conflict/decision    int32 [images], index into categories, -1 = none; images of images/cue-conflict
  ood/SET                  int32 [images], index into categories, -1 = none; images of images/ood/SET
  decision, target         int32 [images]: the output that the network decides for, and the right one, -1 = none
  distortions/NAME         int32 [images]: what it decides for the distorted image, -1 = no such version of it
  adversarial/right        uint8 [attacks, images]: 1 = right in spite of the attack; attributes: attacks
  filters                  float32 [units, 3, h, w]: the first layer's kernels
  attribution/             attributes: methods (of each what AttributedMethod has), left_out (why methods do not hold
                           for the network, by name); where attribution was measured
    target                 int32 [images], the output that is explained, -1 = none; images of images/attribution
    probability            float32 [images], the softmax probability of that output; NaN where there is none
    scale                  float32 [methods, images], the largest |value| of the map; 0 = a constant map, which is no
                           evidence; NaN = not measured
    gap                    float32 [methods, images], the completeness gap; NaN where the method has none
    maps/NAME              float16 [images, h, w], the map / scale, in [-1, 1]; 0 where the scale is 0 or NaN
    scores/                attributes: see AttributionScores; of the maps as they are stored
      SCORE                float32 [methods, images], see core/attribution/scores.py; NaN = not measured: of an image
                           without an object that is known, or which shows something else than what is explained.
                           Localisation follows from the next
      overlap              float32 [methods, images, thresholds], the largest IoU of the box around the largest
                           component of {evidence >= threshold * its maximum} with a box of the object

Version 1, which is still read, had a group models/LABEL/layers/LAYER with arrays of its own for every layer:
metrics/METRIC [units], top/map [units, k, h, w], the others as above; the layer's facts were its attributes, and
manifest.json stood beside the root's zarr.json.
"""

import re
from dataclasses import MISSING, asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Self, get_origin, get_type_hints

FORMAT = "shapebias"
VERSION = 2
PROBE = "images/probe"
CUE_CONFLICT = "images/cue-conflict"
ATTRIBUTION = "images/attribution"
SCORES, OVERLAP = "scores", "overlap"  # of maps, below the group of a model's attribution
OOD = "images/ood"
CONCEPTS = "concepts"
CLIPPED = 65504.0  # float16's largest number: larger activations are stored as this
FAINT = (
    2.0**-14
)  # float16's smallest number of full precision: activations below have fewer digits; below 2^-25 they are 0

_LAYOUT = ("layer_facts", "metrics", "lacks")  # facts of the layout, not of networks
LABEL_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,63}")


@dataclass(frozen=True)
class _Attributes:
    """A dataclass that lives in a group's attributes (JSON)."""

    def to_attributes(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON without what only says where numbers are in the store."""
        return {name: value for name, value in self.to_attributes().items() if name not in _LAYOUT}

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> Self:
        """Read what `to_attributes` wrote, now or by an earlier version (which knew no facts that have a default).

        Raises KeyError for a missing fact and TypeError for one of another type; ignores unknown ones.
        """
        facts: dict[str, Any] = {}
        for known in fields(cls):
            is_required = known.default is MISSING and known.default_factory is MISSING
            if is_required or known.name in attributes:
                facts[known.name] = attributes[known.name]
        for name, kind in get_type_hints(cls).items():
            origin = get_origin(kind)
            plain = kind if origin in (None, UnionType) else origin
            if name in facts and not isinstance(facts[name], plain):
                raise TypeError(f"{name} is {type(facts[name]).__name__}")
        return cls(**facts)


@dataclass(frozen=True, kw_only=True)
class Layer(_Attributes):
    """A watched layer: `name` is the user's word for it (`conv5`), `module` its dotted path in the network.

    `left_out` counts activation maps (of an image and a unit) that held NaN or infinite values and were left out.
    `ending` says what the layer's tensor went through, in words (`after norm, relu`); empty in early stores. `lacks`
    names the model's metrics that the layer does not have.
    """

    name: str
    module: str
    units: int
    map_height: int
    map_width: int
    left_out: int = 0
    ending: str = ""
    lacks: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Model(_Attributes):
    """A network whose units are in the store. `top1` is a fraction in [0, 1], None without usable labels.

    `weights_sha256` is of the state dict, `file_sha256` of the file that it came from (None: no file of the user's).
    `thumbnails` names the geometry under images/probe/thumbnails that shows what this network saw. `variants`: of each
    folder of ready-made variants its name, and how many images it had, with a label, classified correctly.
    `layer_facts` are the attributes of each Layer, in order, and `metrics` the rows of the array of that name; both are
    empty in version 1.
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
    variants: list[dict[str, Any]] = field(default_factory=list)
    layer_facts: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Ruler(_Attributes):
    """A network by whose `layer` visual diversity was measured; the metric is the mean over all rulers of a store.

    Early stores name none: their ruler is their first model's last layer.
    """

    label: str
    source: str
    weights_sha256: str
    layer: str


@dataclass(frozen=True)
class CueConflictImages(_Attributes):
    """The cue-conflict images: the names of their categories; how many images were left out because their shape and
    texture are of one category (only in early stores); and how images were prepared, `native` or `model`: see
    `shape_bias.decisions`. Early stores do not say it: by the network's own resize and crop."""

    categories: list[str]
    excluded: int
    stimuli: str = "model"


@dataclass(frozen=True, kw_only=True)
class AttributionImages(_Attributes):
    """The images of the attribution pass: `requested` of the probe images, or as many as there were, chosen by `seed`.

    `target_rule` says which output is explained: the one that a network decides for (`predicted`) or the right one
    (`label`).
    """

    target_rule: str
    seed: int
    requested: int


@dataclass(frozen=True, kw_only=True)
class AttributedMethod(_Attributes):
    """An attribution method as it was run for a model: its settings, and the size of its maps.

    `signed`: a value below 0 speaks against the output that is explained. `fallback` names the method that took its
    place where it does not hold for the network, else it is empty.
    """

    name: str
    settings: dict[str, Any]
    family: str
    signed: bool
    height: int
    width: int
    fallback: str = ""


@dataclass(frozen=True, kw_only=True)
class AttributionScores(_Attributes):
    """How a model's maps were scored: `scores`, the names of the arrays.

    steps:       of insertion and deletion; 0: not measured
    blur, grey:  what insertion begins with (px of 224: the width of the window, the standard deviation), and what
                 deletion ends with, of 1
    ties:        the order of pixels of equal importance
    tolerance:   of pointing, px of 224
    thresholds:  those of `overlap`
    objects:     where it is from what objects are known: a folder or table of boxes, else masks
    """

    scores: list[str]
    steps: int
    blur: list[float]
    grey: float
    ties: str
    tolerance: float
    thresholds: list[float]
    objects: str


@dataclass(frozen=True, kw_only=True)
class OodImages(_Attributes):
    """A set of stimuli: the names of their categories and conditions, how images were prepared, `native` or `model`,
    and those that were left out (of each: path, reason)."""

    categories: list[str]
    conditions: list[str]
    stimuli: str
    skipped: list[dict[str, str]]


def is_safe_name(name: object) -> bool:
    """Return whether a model's or layer's name in a store is one that shapebias would write: printable, short, no
    path."""
    return isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable() and "/" not in name


def decisions_path(model: str) -> str:
    """Return the group of a model's decisions for the cue-conflict images inside the store."""
    return f"models/{model}/cue_conflict"


def attribution_path(model: str) -> str:
    """Return the group of what attribution gave for a model inside the store."""
    return f"models/{model}/attribution"


def ood_path(model: str) -> str:
    """Return the group of a model's decisions for sets of stimuli inside the store."""
    return f"models/{model}/ood"


def layer_path(model: str, layer: str) -> str:
    """Return the group of a layer in a store of version 1. The `#` of `block#2` is `~` there, as URLs end at a `#`."""
    return f"models/{model}/layers/{layer.replace('~', '~~').replace('#', '~')}"
