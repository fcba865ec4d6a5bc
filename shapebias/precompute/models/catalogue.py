"""The lists of `shapebias models` and `shapebias layers`: the available networks, and the layers of one."""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch

from shapebias.core.text import printable
from shapebias.precompute.models.architectures import STUDIED, torchvision_names
from shapebias.precompute.models.hooks import Point, WatchedLayer
from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.load import forward_error, load_model
from shapebias.precompute.models.own import OWN
from shapebias.precompute.models.receptive_field import receptive_fields
from shapebias.precompute.models.spec import ModelSpec


@dataclass(frozen=True)
class Architecture:
    """A network that `--model` can name.

    weights:  where its own weights are downloaded from; None: it needs a file, `NAME@FILE`
    studied:  whether its layers are chosen and named as in the published studies; of other networks the outputs of the
              stages are watched
    """

    name: str
    weights: str | None
    studied: bool


def list_architectures(pattern: str | None = None) -> tuple[list[Architecture], int]:
    """Return the architectures whose name contains `pattern` or matches it as a glob, and how many were left out.

    Names of timm's networks begin with `timm:`. Without a pattern, all architectures but timm's are returned, and the
    number of timm's is that of those left out; with one it is 0. Imports torchvision, and timm where it is installed.
    """
    architectures = [*(Architecture(name, None, False) for name in OWN), *_of_torchvision()]
    timm = _of_timm()
    if pattern is None:
        return architectures, len(timm)
    everything = architectures + timm
    matching = [
        architecture
        for architecture in everything
        if pattern in architecture.name or fnmatchcase(architecture.name, pattern)
    ]
    return matching, 0


def _of_torchvision() -> list[Architecture]:
    import torchvision

    names = sorted(torchvision_names(), key=lambda name: (name not in STUDIED, name))
    return [
        Architecture(name, str(torchvision.models.get_model_weights(name).DEFAULT.url), name in STUDIED)
        for name in names
    ]


def _of_timm() -> list[Architecture]:
    try:
        import timm
    except ImportError:
        return []
    pretrained: list[str] = timm.list_pretrained()  # "ARCHITECTURE.TAG", where the tag names the weights
    bare = sorted(set(timm.list_models()) - {name.partition(".")[0] for name in pretrained})
    return [
        Architecture(f"timm:{name}", "timm, huggingface.co" if name in pretrained else None, False)
        for name in sorted(pretrained + bare)
    ]


def architectures_text(architectures: list[Architecture], more: int) -> str:
    """Return the architectures as a table, ready to print; `more` is how many of timm's are not in it."""
    width = max((len(architecture.name) for architecture in architectures), default=0)
    lines = [f"{'model':{width}}  {'layers':7}  weights"]
    for architecture in architectures:
        layers = "studied" if architecture.studied else "stages"
        lines.append(
            f"{architecture.name:{width}}  {layers:7}  {architecture.weights or f'yours: {architecture.name}@FILE'}"
        )
    lines.append(f"{len(architectures)} models; any takes weights of yours: NAME@FILE")
    if more:
        lines.append(f"{more:,} more of timm: shapebias models timm:")
    return "\n".join(lines)


@dataclass(frozen=True)
class LayerFacts:
    """A layer that can be watched.

    name:                   the layer's name for `--layers`
    module:                 the dotted path of its module in the network; empty for the network itself
    units:                  how many maps it has
    map_height, map_width:  their size
    field:                  the receptive field of its units in px; None: the whole image
    default:                whether `--layers paper` watches it
    convolution:            the name of the convolution whose activation it is; None where it is no such activation
    ending:                 the operations that its activation includes: `after norm, relu`; else empty
    """

    name: str
    module: str
    units: int
    map_height: int
    map_width: int
    field: int | None
    default: bool
    convolution: str | None
    ending: str


@dataclass(frozen=True)
class Layers:
    """The layers of a network, in the order of its forward.

    input_size:     the side of its images in px, for which the sizes of maps hold
    preprocessing:  a description for the user
    """

    architecture: str
    input_size: int
    preprocessing: str
    layers: list[LayerFacts]

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON; a layer's `field` is called `receptive_field`."""
        facts = asdict(self)
        for layer in facts["layers"]:
            layer["receptive_field"] = layer.pop("field")
        return facts

    def text(self) -> str:
        """Return the layers as a table, ready to print."""
        width = max(len(printable(layer.name, 60)) for layer in self.layers)
        lines = [f"{printable(self.architecture)}, {self.input_size} px: {printable(self.preprocessing, 400)}"]
        lines.append(f"   {'layer':{width}}  {'units':>6}  {'map':>9}  {'field':>11}  module, what it gives")
        for layer in self.layers:
            size = f"{layer.map_height} x {layer.map_width}"
            seen = "whole image" if layer.field is None else f"{layer.field} px"
            mark = "*" if layer.default else " "
            ending = f"  {layer.ending}" if layer.ending else ""
            name, module = printable(layer.name, 60), printable(layer.module or "(its forward)", 80)
            lines.append(f" {mark} {name:{width}}  {layer.units:>6}  {size:>9}  {seen:>11}  {module}{ending}")
        lines.append("* watched by default (--layers paper); field: the receptive field")
        return "\n".join(lines)


def describe_layers(spec: ModelSpec) -> Layers:
    """Return the default layers and all convolutions of the network that `spec` names, without downloading anything.

    Raises UsageError or ShapebiasError where the network cannot be built, its forward fails, or it has no layer with
    maps.
    """
    model = load_model(spec, download=False)
    side = model.preprocessing.geometry.crop
    try:
        trace = Trace(model.network, torch.zeros(1, 3, side, side))
    except Exception as error:
        raise forward_error(model, error) from error
    default, convolutions = trace.choose("paper"), trace.convolutions()
    by_point: dict[Point, WatchedLayer] = {}
    for layer in default + convolutions:
        by_point.setdefault(layer.point, layer)
    layers = sorted(by_point.values(), key=trace.position)
    names = {layer.point: layer.name for layer in convolutions}
    fields = receptive_fields(model.network, layers, side)
    facts = [
        LayerFacts(
            layer.name,
            layer.module,
            layer.units,
            layer.height,
            layer.width,
            seen,
            layer in default,
            names.get(layer.point),
            layer.ending,
        )
        for layer, seen in zip(layers, fields, strict=True)
    ]
    return Layers(model.architecture, side, str(model.preprocessing), facts)
