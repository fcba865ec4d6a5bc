"""The cue-conflict pass: by which cue a model decides for images whose shape and texture are of two categories."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.imagenet import class_names, wnids
from shapebias.core.shape_bias.categories import identity_mapping, load_mapping, sixteen_classes
from shapebias.core.shape_bias.decisions import NATIVE, Decisions, Stimuli, decide, label_stimuli
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.drawing import SHAPES, TEXTURES
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.measures.decisions import name_decisions, read_decisions
from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner, by_geometry
from shapebias.precompute.scanning.rows import POSITION, Rows
from shapebias.precompute.scanning.scan import Engine, Scan

CategoryMapping = dict[str, list[int]]  # the classes of each category


@dataclass(kw_only=True)
class CueConflict:
    """Cue-conflict images as they were used, and what each model decided.

    categories:  their names; the other arrays are indices into them
    positions:   int64 [images], of the images used, in the listing; paths: theirs
    shape, texture:  int32 [images]; one and the same in images without a conflict
    stimuli:     how images were prepared: see `stimulus_geometry`
    skipped:     the images that could not be used
    decisions:   int32 [images] of every model by its label
    """

    categories: list[str]
    positions: NDArray[np.int64]
    paths: list[bytes]
    shape: NDArray[np.int32]
    texture: NDArray[np.int32]
    stimuli: str
    skipped: list[Skipped]
    decisions: dict[str, NDArray[np.int32]]

    def of(self, model: str) -> Decisions:
        """Return what one model decided."""
        names = [os.fsdecode(path) for path in self.paths]
        return Decisions(
            categories=self.categories,
            images=names,
            shape=self.shape,
            texture=self.texture,
            decision=self.decisions[model],
            stimuli=self.stimuli,
        )


@dataclass(frozen=True)
class CueConflictMeasure:
    """Measures which category each model decides for; `mappings`: by models' numbers in the run."""

    mappings: dict[int, CategoryMapping]

    def start(self, runners: Sequence[Runner]) -> "CueConflictShard":
        """Return a new measure of one shard."""
        return CueConflictShard({model: runners[model] for model in self.mappings}, self.mappings)


class CueConflictShard:
    """What is measured of one shard."""

    def __init__(self, runners: dict[int, Runner], mappings: dict[int, CategoryMapping]) -> None:
        self._runners, self._mappings = runners, mappings
        self._rows = Rows()

    def feed(self, batch: Batch) -> None:
        """Take in a batch."""
        decided = {
            model: decide(probabilities(runner, batch.pixels), self._mappings[model]).astype(np.int32)
            for model, runner in self._runners.items()
        }
        self._rows.add({POSITION: batch.positions} | name_decisions(decided))

    def part(self) -> Part:
        """Return the positions, and int32 [images] of each model: indices into the categories."""
        return self._rows.part()


def decide_cue_conflict(
    engine: Engine,
    runners: Sequence[Runner],
    image_set: ImageSet,
    skipped: list[Skipped],
    *,
    file: Path | None,
    stimuli_as: str,
) -> CueConflict:
    """Return what every runner decides for the images.

    `skipped` are those that their listing left out; `file` says which classes make a category, as JSON; `stimuli_as`:
    see `stimulus_geometry`. Raises ShapebiasError as `label_images` does, and where no image can be read.
    """
    mappings, stimuli = label_images(runners, image_set, file)
    unreadable: dict[bytes, Skipped] = {}
    readable = np.ones(len(stimuli.used), bool)
    decisions: dict[str, NDArray[np.int32]] = {}
    geometries = [stimulus_geometry(runner.geometry, stimuli_as) for runner in runners]
    for geometry, models in by_geometry(geometries).items():
        labels = {model: runners[model].model.label for model in models}
        scan = Scan(
            name=f"cue-conflict-{geometry.key}",
            title=f"{', '.join(labels.values())}: cue conflict",
            image_set=image_set,
            geometry=geometry,
            measure=CueConflictMeasure({model: mappings[label] for model, label in labels.items()}),
            positions=stimuli.used,
        )
        shards = engine.run(scan)
        seen, by_model = read_decisions(shards, len(stimuli.used), models)
        readable &= seen
        unreadable |= {image.path: image for image in shards.skipped}
        decisions |= {labels[model]: decided for model, decided in by_model.items()}
    if not readable.any():
        reasons = ", ".join(dict.fromkeys(image.reason for image in unreadable.values()))
        raise ShapebiasError(f"no cue-conflict image in {printable(str(image_set.root))} can be used: {reasons}")
    misnamed = [Skipped(os.fsencode(name), reason) for name, reason in stimuli.unusable]
    used = stimuli.used[readable]
    return CueConflict(
        categories=list(next(iter(mappings.values()))),
        positions=used,
        paths=[image_set.paths[position] for position in used],
        shape=stimuli.shape[readable],
        texture=stimuli.texture[readable],
        stimuli=stimuli_as,
        skipped=[*skipped, *misnamed, *unreadable.values()],
        decisions={runner.model.label: decisions[runner.model.label][readable] for runner in runners},
    )


def stimulus_geometry(geometry: Geometry, stimuli_as: str) -> Geometry:
    """Return how a network with a geometry of its own is shown cue-conflict images: NATIVE, whole and resized only
    where they do not have the size of its input, as in the published decisions; or MODEL, as it sees any image."""
    return geometry.whole if stimuli_as == NATIVE else geometry


def label_images(
    runners: Sequence[Runner], image_set: ImageSet, file: Path | None
) -> tuple[dict[str, CategoryMapping], Stimuli]:
    """Return the classes of each category for every model by its label, and every image's shape and texture, from its
    name.

    Raises ShapebiasError where no image is a cue-conflict stimulus, or a network's classes make no categories.
    """
    mappings = {runner.model.label: category_mapping(runner, file) for runner in runners}
    categories = list(next(iter(mappings.values())))
    for label, mapping in mappings.items():
        if list(mapping) != categories:
            raise ShapebiasError(f"{label} decides among other categories than {next(iter(mappings))}: run them apart")
    textures = list(TEXTURES) if categories == list(SHAPES) else None
    stimuli = label_stimuli([os.fsdecode(path) for path in image_set.paths], categories, textures)
    if not stimuli.conflicting.any():
        reasons = ", ".join(dict.fromkeys(reason for _, reason in stimuli.unusable[:100])) or "shape is texture in all"
        raise ShapebiasError(f"no cue-conflict images in {printable(str(image_set.root))}: {reasons}")
    return mappings, stimuli


def probabilities(runner: Runner, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the softmax of the network's scores, float32 [B, classes]."""
    scores = runner.forward(pixels)
    assert scores is not None
    softmax: NDArray[np.float32] = torch.softmax(scores.float(), 1).cpu().numpy()
    return softmax


def category_mapping(runner: Runner, file: Path | None) -> CategoryMapping:
    """Return the classes of every category: as the file says, ImageNet's 16 categories, or the built-in shapes.

    Raises ShapebiasError where a network's classes are none of them.
    """
    ids = runner.model.class_ids
    if ids is None and runner.outputs == len(wnids()):
        ids = list(wnids())
    if runner.outputs is None:
        raise ShapebiasError(f"{runner.model.label} gives no class scores: it cannot decide for cue-conflict images")
    if file is not None:
        names = list(class_names()) if ids == list(wnids()) else ids or []
        return load_mapping(
            file, ids or [str(index) for index in range(runner.outputs)], names or [""] * runner.outputs
        )
    if ids == list(wnids()):
        return sixteen_classes()
    if ids == list(SHAPES):
        return identity_mapping(ids)
    raise ShapebiasError(
        f"{runner.model.label} has {runner.outputs} classes that are not ImageNet's: name the classes of each category "
        "in a JSON file, --categories FILE"
    )
