"""The attribution maps of a few images, computed without a store, and the NumPy archive that holds them."""

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.methods import METHODS
from shapebias.core.files import write_atomically


@dataclass(frozen=True, kw_only=True)
class MethodMap:
    """The map of one method on one image.

    values:    float32 [h, w], at the method's own resolution; None where there is no map
    gap:       the completeness gap as a fraction; NaN where the method does not promise a sum
    fallback:  the name of the method that was run in its place; empty for none
    problem:   why there is no map; empty where there is one
    """

    values: NDArray[np.float32] | None = None
    gap: float = math.nan
    fallback: str = ""
    problem: str = ""

    @property
    def remark(self) -> str:
        """The problem; if there is none, the method that was run instead and the gap, where there are such."""
        fallback = f"by {METHODS[self.fallback].title} instead" if self.fallback else ""
        gap = "" if math.isnan(self.gap) else f"gap {self.gap:.2%}"
        return self.problem or ", ".join(filter(None, (fallback, gap)))


@dataclass(frozen=True, kw_only=True)
class ExplainedImage:
    """One image with a network's maps of why it gives an output.

    pixels:       uint8 [H, W, 3], the image as the network saw it
    image:        the path of the image
    pixels:       uint8 [H, W, 3], the image as the network saw it
    output:       the number of the explained output
    output_name:  the name of the output's class
    probability:  the softmax probability of that output
    maps:         the map of every method, by the method's name
    """

    model: str
    image: Path
    pixels: NDArray[np.uint8]
    output: int
    output_name: str
    probability: float
    maps: Mapping[str, MethodMap]


@dataclass(frozen=True, kw_only=True)
class AttributionResult:
    """The maps of several methods, models and images.

    choices:  the methods, with their settings
    target:   which output was explained: `predicted`, `label`, or the name of a class
    seed:     the seed of all random choices of the methods
    images:   all images for the first model, then the same, in the same order, for the next
    notes:    lines for the user
    """

    choices: Sequence[Choice]
    target: str
    seed: int
    images: Sequence[ExplainedImage]
    notes: Sequence[str] = field(default=())

    @property
    def models(self) -> list[str]:
        """The models' labels, in the order of `images`."""
        return list(dict.fromkeys(image.model for image in self.images))

    def by_image(self) -> list[list[ExplainedImage]]:
        """Return for each image its results for all models."""
        count = len(self.images) // len(self.models)
        return [list(self.images[number::count]) for number in range(count)]


def write_arrays(path: Path, explained: AttributionResult) -> None:
    """Write the maps to a NumPy archive (.npz) with these arrays:

    MODEL/METHOD               float32 [images, h, w], the raw maps, NaN where an image has none; there is no such array
                               where no image has a map, as where the method does not apply to the model
    target                     int32 [models, images], the number of the explained output
    output                     text [models, images], the name of this output's class
    probability                float32 [models, images], this output's softmax probability
    gap                        float32 [models, methods, images], the completeness gap as a fraction; NaN for a method
                               that does not promise a sum
    models, images, methods    text, the names along these axes
    settings                   JSON: how every method was run, and the notes of the run

    Raises CannotWriteError where the file cannot be written.
    """
    models = [[image for image in explained.images if image.model == model] for model in explained.models]
    names = [choice.name for choice in explained.choices]
    arrays = {
        "models": np.array(explained.models),
        "images": np.array([str(image.image) for image in models[0]]),
        "methods": np.array(names),
        "target": np.array([[image.output for image in images] for images in models], np.int32),
        "output": np.array([[image.output_name for image in images] for images in models]),
        "probability": np.array([[image.probability for image in images] for images in models], np.float32),
        "gap": np.array(
            [[[image.maps[name].gap for image in images] for name in names] for images in models], np.float32
        ),
        "settings": np.array(_settings(explained)),
    }
    for model, images in zip(explained.models, models, strict=True):
        for name in names:
            maps = _stacked(image.maps[name].values for image in images)
            if maps is not None:
                arrays[f"{model}/{name}"] = maps
    encoded = io.BytesIO()
    np.savez_compressed(encoded, **arrays)  # type: ignore[arg-type]  # taken for `allow_pickle`
    write_atomically(path, encoded.getvalue())


def _stacked(maps: Iterable[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    """Return maps as one array, NaN in place of missing ones; None where all are missing."""
    given = list(maps)
    shape = next((values.shape for values in given if values is not None), None)
    if shape is None:
        return None
    return np.stack([np.full(shape, np.nan, np.float32) if values is None else values for values in given])


def _settings(explained: AttributionResult) -> str:
    replaced = {
        image.model: {
            name: attribution_map.fallback for name, attribution_map in image.maps.items() if attribution_map.fallback
        }
        for image in explained.images
    }
    facts = {
        "target": explained.target,
        "seed": explained.seed,
        "methods": [choice.to_attributes() for choice in explained.choices],
        "fallback": replaced,
        "notes": list(explained.notes),
    }
    return json.dumps(facts, indent=1)
