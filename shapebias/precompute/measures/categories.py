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

CategoryMapping = dict[str, list[int]]  # the indices of the outputs that belong to each category, by its name


@dataclass(frozen=True)
class CategoryMeasure:
    """Measures models' decisions among categories. `mappings` are by the numbers of these models in the run."""

    mappings: dict[int, CategoryMapping]

    def start(self, runners: Sequence[Runner]) -> "CategoryShard":
        """Return an empty measurement for one shard."""
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
        """Return the positions, and each model's decisions, int32 [images]: indices into the categories."""
        return self._rows.part()


@dataclass(frozen=True)
class CategoryDecisions:
    """The decisions of models for some images.

    readable:  bool [images], which images could be used for all models
    by_model:  the decisions by the model's label, int32 [images], indices into the categories, -1 = none
    skipped:   the images that could not be used, with the reasons
    """

    readable: NDArray[np.bool_]
    by_model: dict[str, NDArray[np.int32]]
    skipped: list[Skipped]


@dataclass(frozen=True, kw_only=True)
class CategoryImages:
    """Those images of a set that models decide for.

    name:        the start of the names of their scans, which are unique in the run
    title:       the name for the user
    positions:   int64, which images of the set's listing
    stimuli_as:  how images are prepared: see `stimulus_geometry`
    """

    name: str
    title: str
    image_set: ImageSet
    positions: NDArray[np.int64]
    stimuli_as: str


def decide_among(
    engine: Engine, runners: Sequence[Runner], images: CategoryImages, mappings: dict[str, CategoryMapping]
) -> CategoryDecisions:
    """Return every runner's decisions for the images among categories; `mappings` are by the models' labels.

    Raises ShapebiasError where a network fails.
    """
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

    With NATIVE they are shown whole, and resized only where they do not have the size of the network's input, as in the
    published decisions; with MODEL they are prepared as any other image.
    """
    return geometry.whole if stimuli_as == NATIVE else geometry


def probabilities(runner: Runner, pixels: Pixels) -> NDArray[np.float32]:
    """Return the softmax of the scores of a network that gives scores, float32 [B, classes]."""
    scores = runner.forward(pixels)
    assert scores is not None
    softmax: NDArray[np.float32] = torch.softmax(scores.float(), 1).cpu().numpy()
    return softmax


def category_mappings(runners: Sequence[Runner], file: Path | None) -> dict[str, CategoryMapping]:
    """Return the classes of each category for every model by its label: see `category_mapping`, also for its errors.

    Raises ShapebiasError where a model decides among other categories than the first one.
    """
    mappings = {runner.model.label: category_mapping(runner, file) for runner in runners}
    categories = list(next(iter(mappings.values())))
    for label, mapping in mappings.items():
        if list(mapping) != categories:
            raise ShapebiasError(
                f"{label} decides among other categories than {next(iter(mappings))}: precompute them in separate runs"
            )
    return mappings


def category_mapping(runner: Runner, file: Path | None) -> CategoryMapping:
    """Return the classes of every category, as indices of the network's outputs.

    The categories are those in the file, if there is one; else the 16 categories of ImageNet's classes; or those of the
    16 that the network has, if it has at least two; or the network's own classes, each a category of its own. Raises
    ShapebiasError where the network gives no scores or no names of its classes are known, UsageError as `load_mapping`
    does.
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
        categories = known_categories(ids)
        return categories if len(categories) > 1 else identity_mapping(ids)
    raise ShapebiasError(
        f"{runner.model.label} has {runner.outputs} classes that are not ImageNet's: name the classes of each category "
        "in a JSON file, --categories FILE"
    )


def part_of_sixteen(runner: Runner, file: Path | None) -> str | None:
    """Return a text with those of the 16 categories that a network decides among, and with the chance level.

    None where the network decides among all 16 or among others. Raises the errors of `category_mapping`.
    """
    mapping = category_mapping(runner, file)
    if not is_part_of_sixteen(list(mapping)):
        return None
    ids = class_ids(runner)
    return part_text(mapping, ids if ids is not None else [str(index) for index in range(runner.outputs or 0)])


def class_ids(runner: Runner) -> list[str] | None:
    """Return the ids of the classes of a network's outputs, in order; None where they are unknown.

    1000 outputs without ids are taken for ImageNet's: their ids are the WordNet ids.
    """
    if runner.model.class_ids is None and runner.outputs == len(wnids()):
        return list(wnids())
    return runner.model.class_ids
