"""The layout of a store (Zarr v3, format "shapebias" version 2): its names, and the facts kept as attributes.

Below, `images` is an axis over the images of images/probe, unless the line names other images.

attributes                 format, version, shapebias_version, created, settings, folder (where the run was started),
                           device, models (their labels, in order), rulers (see Ruler), notes (to the user, as texts)
manifest                   uint8: the bytes of a JSON file, see manifest.py
images/probe/              attributes: class_ids, class_names, skipped (path and reason of each image left out)
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
concepts/                  attributes: names, category (for each name an index into categories), categories; source,
                           images (their number), skipped and problems of the annotated images; iou_area (see
                           core/concepts.py). Only where units were dissected
models/LABEL/              attributes: see Model, with the facts of every layer. The axis of units has those of all
                           layers, one layer after the other
  metrics                  float32 [metrics, units], in the order of the attribute `metrics`; NaN where a layer
                           lacks one
  activations/{max,mean}   float16 [images, units]: larger than CLIPPED is stored as that, below FAINT it is coarse,
                           and below 2^-25 it is 0. Metrics and top lists are float32, from what was computed
  top/value                float32 [units, k], descending; NaN where fewer than k images
  top/image                int32 [units, k], indices into images/probe; -1 where fewer than k images
  top/position             int32 [units, k, 2], (y, x) of the maximum in the map
  top/map/HEIGHTxWIDTH     uint8 [units with maps of that size, k, h, w], 255 = the unit's max, values <= 0 are 0
  concepts/label           int32 [units, categories]: each category's best concept, index into names, -1 = none
  concepts/{intersection,activation,truth}   int64 [units, categories]: pixel counts, see core/concepts.py
  cue_conflict/decision    int32 [images], index into categories, -1 = none; images of images/cue-conflict
  ood/SET                  int32 [images], index into categories, -1 = none; images of images/ood/SET
  decision, target         int32 [images]: the output that the network decides for, and the right one, -1 = none
  probability              float32 [images]: the softmax probability of `decision`; early stores lack it
  distortions/NAME         int32 [images]: the output that it decides for, shown the distorted image; -1 = the image
                           has no such version
  adversarial/right        uint8 [attacks, images]: 1 = right in spite of the attack; attributes: attacks
  filters                  float32 [units, 3, h, w]: the first layer's kernels
  attribution/             attributes: methods (the fields of AttributedMethod of each), left_out (by name, why a
                           method cannot be applied to the network); where attribution was measured
    target                 int32 [images], the output that is explained, -1 = none; images of images/attribution
    probability            float32 [images], the softmax probability of that output; NaN where there is none
    scale                  float32 [methods, images], the largest |value| of the map; 0 = a constant map, which is no
                           evidence; NaN = not measured
    gap                    float32 [methods, images], the completeness gap; NaN where the method has none
    maps/NAME              float16 [images, h, w], the map / scale, in [-1, 1]; 0 where the scale is 0 or NaN
    scores/                attributes: see AttributionScores; of the maps as they are stored
      SCORE                float32 [methods, images], see core/attribution/scores.py; NaN = not measured, for
                           instance because the place of the explained object is not known in the image. Localisation
                           is not stored: it follows from the overlap
      overlap              float32 [methods, images, thresholds], the largest IoU of the box around the largest
                           component of {evidence >= threshold * its maximum} with a box of the object

Version 1, which is still read, had a group models/LABEL/layers/LAYER with arrays of its own for every layer:
metrics/METRIC [units], top/map [units, k, h, w], the others as above. The layer's facts were the group's attributes,
and manifest.json stood beside the root's zarr.json.
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
SCORES, OVERLAP = "scores", "overlap"  # groups and arrays of maps' scores, below the group of a model's attribution
OOD = "images/ood"
CONCEPTS = "concepts"
# Activations are stored as float16. Those above CLIPPED, its largest number, are stored as CLIPPED; those below FAINT
# have fewer digits, and below 2^-25 they are 0.
CLIPPED = 65504.0
FAINT = 2.0**-14

_LAYOUT = ("layer_facts", "metrics", "lacks")  # fields that describe the layout of the store, not the network
LABEL_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,63}")


@dataclass(frozen=True)
class _Attributes:
    """A dataclass that is stored as a group's attributes (JSON)."""

    def to_attributes(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)

    def facts(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON, without those that only say where arrays are in the store."""
        return {name: value for name, value in self.to_attributes().items() if name not in _LAYOUT}

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> Self:
        """Return the object whose fields are in `attributes`, as `to_attributes` of this or an earlier version wrote
        them.

        Unknown names are ignored, and a missing field has its default. Raises KeyError for a missing field without a
        default, and TypeError for a value of another type.
        """
        facts: dict[str, Any] = {}
        for declared in fields(cls):
            is_required = declared.default is MISSING and declared.default_factory is MISSING
            if is_required or declared.name in attributes:
                facts[declared.name] = attributes[declared.name]
        for name, kind in get_type_hints(cls).items():
            origin = get_origin(kind)
            plain = kind if origin in (None, UnionType) else origin
            if name in facts and not isinstance(facts[name], plain):
                raise TypeError(f"{name} is {type(facts[name]).__name__}")
        return cls(**facts)


@dataclass(frozen=True, kw_only=True)
class Layer(_Attributes):
    """A layer whose units are in the store.

    name:      the user's name for it (`conv5`)
    module:    its dotted path in the network; empty for the network itself
    units:     the number of its units; map_height, map_width: the size of their activation maps
    left_out:  how many activation maps (one per image and unit) held NaN or infinite values and were left out
    ending:    the operations behind the layer that its activation includes, in words (`after norm, relu`); empty in
               early stores
    lacks:     names of the model's metrics that the layer does not have
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
    """A network whose units are in the store.

    label:           its name in the store
    architecture:    its name in torchvision or timm, else the class of the network
    source:          what it was loaded from, as the user wrote it: SOURCE[@CHECKPOINT]; for a network of a Python
                     program a text that ends in ` in memory`
    preprocessing:   how images became its input, as names and values
    weights_sha256:  digest of the state dict
    thumbnails:      the geometry below images/probe/thumbnails whose pictures show what this network saw
    layers:          names of the layers, from input to output
    top1:            accuracy on the probe images, a fraction in [0, 1]; None without usable labels
    parameters:      how many parameters the network has
    file_sha256:     digest of the user's file that the weights came from; None where there was none
    variants:        for each folder of ready-made variants: its name, its number of labelled images, and how many of
                     them were classified correctly
    layer_facts:     the attributes of each Layer, in order; empty in version 1
    metrics:         names of the rows of the array `metrics`; empty in version 1
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
    """A network by whose `layer` visual diversity was measured: the layer's output says how similar images are.

    The metric is the mean over a store's rulers. Early stores name none: their ruler is the last layer of their first
    model. The other fields are as in `Model`.
    """

    label: str
    source: str
    weights_sha256: str
    layer: str


@dataclass(frozen=True)
class CueConflictImages(_Attributes):
    """The cue-conflict images of a store.

    categories:  names of the categories
    excluded:    how many images were left out because shape and texture are of the same category (only in early stores)
    stimuli:     how images were prepared, `native` or `model` (see `shape_bias.decisions`); early stores do not say
                 it: theirs were prepared by the network's own resize and crop, which is `model`
    """

    categories: list[str]
    excluded: int
    stimuli: str = "model"


@dataclass(frozen=True, kw_only=True)
class AttributionImages(_Attributes):
    """The choice of the images of the attribution pass.

    target_rule:  which output is explained: the network's decision (`predicted`) or the right output (`label`)
    seed:         the seed of the random choice
    requested:    the number of probe images that the user asked for; fewer were used where there were fewer
    """

    target_rule: str
    seed: int
    requested: int


@dataclass(frozen=True, kw_only=True)
class AttributedMethod(_Attributes):
    """An attribution method as it was run for a model.

    settings:       the value of each of its settings
    family:         the family of methods that it belongs to
    signed:         whether a value below 0 speaks against the explained output
    height, width:  the size of its maps
    fallback:       the name of the method that was run in its place, since it cannot be applied to the network; else
                    empty
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
    """The settings with which a model's attribution maps were scored.

    scores:      names of the arrays of scores
    steps:       number of steps of insertion and deletion; 0 = not measured
    blur:        how the image that insertion begins with was blurred: [width of the window, standard deviation], both
                 in px of an image 224 px wide
    grey:        the level of the grey image that deletion ends with, in [0, 1]
    ties:        a sentence on the order in which pixels of equal importance were taken
    tolerance:   how far pointing may miss the object, in px of an image 224 px wide
    thresholds:  the thresholds of `overlap`, fractions of a map's largest evidence
    objects:     where the positions of objects are known from: the path of a folder or table of boxes, or `masks`
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
    """A set of stimuli: images of categories, such as the set `edge` of model-vs-human.

    categories, conditions:  the names that the set's arrays index; conditions are kinds of images, such as contrasts
    stimuli:                 how images were prepared, `native` or `model`
    skipped:                 the images that were left out: a dictionary with `path` and `reason` for each
    """

    categories: list[str]
    conditions: list[str]
    stimuli: str
    skipped: list[dict[str, str]]


def is_safe_name(name: object) -> bool:
    """Return whether an object is a text that could name a model or layer in a store: printable, of 1 to 200
    characters, and without a slash.
    """
    return isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable() and "/" not in name


def decisions_path(model: str) -> str:
    """Return the path of the group with a model's decisions for the cue-conflict images."""
    return f"models/{model}/cue_conflict"


def attribution_path(model: str) -> str:
    """Return the path of the group with a model's attribution maps."""
    return f"models/{model}/attribution"


def ood_path(model: str) -> str:
    """Return the path of the group with a model's decisions for sets of stimuli."""
    return f"models/{model}/ood"


def layer_path(model: str, layer: str) -> str:
    """Return the path of a layer's group in a store of version 1.

    The `#` of `block#2` is written `~`, since URLs end at a `#`, and a `~` as `~~`.
    """
    return f"models/{model}/layers/{layer.replace('~', '~~').replace('#', '~')}"
