"""Decisions among categories, each of which is a set of a network's classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.imagenet import class_names, wnids
from shapebias.core.shape_bias.categories import (
    identity_mapping,
    is_part_of_sixteen,
    known_categories,
    load_mapping,
    part_text,
    sixteen_classes,
)
from shapebias.core.shape_bias.decisions import NATIVE, decide
from shapebias.precompute.device import Pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.measures.decisions import name_decisions, read_decisions
from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner, by_geometry
from shapebias.precompute.scanning.rows import POSITION, Rows
from shapebias.precompute.scanning.scan import Engine, Scan
from shapebias.precompute.scanning.upload import DeviceBatch

CategoryMapping = dict[str, list[int]]  # the classes of each category


@dataclass(frozen=True)
class CategoryMeasure:
    """Measures each model's decisions among categories. `mappings` are by the models' numbers in the run."""

    mappings: dict[int, CategoryMapping]

    def start(self, runners: Sequence[Runner]) -> "CategoryShard":
        """Return a new measure of one shard."""
        return CategoryShard({model: runners[model] for model in self.mappings}, self.mappings)


class CategoryShard:
    """The measurements of one shard."""

    def __init__(self, runners: dict[int, Runner], mappings: dict[int, CategoryMapping]) -> None:
        self._runners, self._mappings = runners, mappings
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        decided = {
            model: decide(probabilities(runner, batch.sent), self._mappings[model]).astype(np.int32)
            for model, runner in self._runners.items()
        }
        self._rows.add({POSITION: batch.positions} | name_decisions(decided))

    def part(self) -> Part:
        """Return the positions, and int32 [images] of each model: indices into the categories."""
        return self._rows.part()


@dataclass(frozen=True)
class CategoryDecisions:
    """The decisions of models for some images.

    readable:  bool [images], which could be used
    by_model:  by the model's label int32 [images], indices into the categories, -1 = none
    skipped:   the images that could not be used, with the reasons
    """

    readable: NDArray[np.bool_]
    by_model: dict[str, NDArray[np.int32]]
    skipped: list[Skipped]


@dataclass(frozen=True, kw_only=True)
class CategoryImages:
    """A set of images to decide for.

    name:        of their scans in the run
    title:       the name for the user
    positions:   int64, which images of the listing
    stimuli_as:  how they are prepared: see `stimulus_geometry`
    """

    name: str
    title: str
    image_set: ImageSet
    positions: NDArray[np.int64]
    stimuli_as: str


def decide_among(
    engine: Engine, runners: Sequence[Runner], images: CategoryImages, mappings: dict[str, CategoryMapping]
) -> CategoryDecisions:
    """Return every runner's decisions among categories; `mappings` are by the models' labels."""
    unreadable: dict[bytes, Skipped] = {}
    readable = np.ones(len(images.positions), bool)
    by_label: dict[str, NDArray[np.int32]] = {}
    geometries = [stimulus_geometry(runner.geometry, images.stimuli_as) for runner in runners]
    for geometry, models in by_geometry(geometries).items():
        labels = {model: runners[model].model.label for model in models}
        scan = Scan(
            name=f"{images.name}-{geometry.key}",
            title=f"{', '.join(labels.values())}: {images.title}",
            image_set=images.image_set,
            geometry=geometry,
            measure=CategoryMeasure({model: mappings[label] for model, label in labels.items()}),
            positions=images.positions,
        )
        shards = engine.run(scan)
        seen, by_model = read_decisions(shards, len(images.positions), models)
        readable &= seen
        unreadable |= {image.path: image for image in shards.skipped}
        by_label |= {labels[model]: decided for model, decided in by_model.items()}
    in_order = [runner.model.label for runner in runners if runner.model.label in by_label]
    return CategoryDecisions(readable, {label: by_label[label] for label in in_order}, list(unreadable.values()))


def stimulus_geometry(geometry: Geometry, stimuli_as: str) -> Geometry:
    """Return the geometry in which stimuli are prepared for a network with its own geometry.

    NATIVE shows them whole, resized only where they do not have the size of its input, as in the published decisions;
    MODEL prepares them as any other image.
    """
    return geometry.whole if stimuli_as == NATIVE else geometry


def probabilities(runner: Runner, pixels: Pixels) -> NDArray[np.float32]:
    """Return the softmax of the network's scores, float32 [B, classes]."""
    scores = runner.forward(pixels)
    assert scores is not None
    softmax: NDArray[np.float32] = torch.softmax(scores.float(), 1).cpu().numpy()
    return softmax


def category_mappings(runners: Sequence[Runner], file: Path | None) -> dict[str, CategoryMapping]:
    """Return the classes of each category for every model by its label, as `category_mapping` does.

    Raises ShapebiasError where one has none, or decides among other categories than the first.
    """
    mappings = {runner.model.label: category_mapping(runner, file) for runner in runners}
    categories = list(next(iter(mappings.values())))
    for label, mapping in mappings.items():
        if list(mapping) != categories:
            raise ShapebiasError(f"{label} decides among other categories than {next(iter(mappings))}: run them apart")
    return mappings


def category_mapping(runner: Runner, file: Path | None) -> CategoryMapping:
    """Return the classes of every category.

    They are those in the file; or the 16 categories of ImageNet's classes; or those of the 16 that the network has, if
    it has at least two; or the network's own classes, each a category of its own. Raises ShapebiasError where no names
    are known.
    """
    ids = class_ids(runner)
    if runner.outputs is None:
        raise ShapebiasError(f"{runner.model.label} gives no class scores: it cannot decide among categories")
    if file is not None:
        names = list(class_names()) if ids == list(wnids()) else ids or []
        return load_mapping(
            file, ids or [str(index) for index in range(runner.outputs)], names or [""] * runner.outputs
        )
    if ids == list(wnids()):
        return sixteen_classes()
    if ids is not None:
        known = known_categories(ids)
        return known if len(known) > 1 else identity_mapping(ids)
    raise ShapebiasError(
        f"{runner.model.label} has {runner.outputs} classes that are not ImageNet's: name the classes of each category "
        "in a JSON file, --categories FILE"
    )


def part_of_sixteen(runner: Runner, file: Path | None) -> str | None:
    """Return which of the 16 categories a network decides among, as text with the chance level; None for all 16 or
    others.

    Raises ShapebiasError as `category_mapping` does.
    """
    mapping = category_mapping(runner, file)
    if not is_part_of_sixteen(list(mapping)):
        return None
    ids = class_ids(runner)
    return part_text(mapping, ids if ids is not None else [str(index) for index in range(runner.outputs or 0)])


def class_ids(runner: Runner) -> list[str] | None:
    """Return the classes of a network's outputs in order; ImageNet's WordNet ids for 1000 unknown ones; else None."""
    if runner.model.class_ids is None and runner.outputs == len(wnids()):
        return list(wnids())
    return runner.model.class_ids
