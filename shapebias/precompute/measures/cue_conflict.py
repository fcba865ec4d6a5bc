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
from shapebias.core.shape_bias.decisions import Decisions, Stimuli, decide, label_stimuli
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.drawing import SHAPES, TEXTURES
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.runner import Runner, by_geometry
from shapebias.precompute.scanning.scan import Engine, Rows, Scan, by_image
from shapebias.precompute.statistics.state import Part


@dataclass
class CueConflict:
    """Cue-conflict images as they were used, and what each model decided.

    positions int64 [images]: of the images used, in the listing; paths: theirs; shape, texture int32 [images] and
    decisions int32 [images] of every model by its label, indices into categories. `excluded` counts images of one
    category; `skipped` names those that could not be used.
    """

    categories: list[str]
    positions: NDArray[np.int64]
    paths: list[bytes]
    shape: NDArray[np.int32]
    texture: NDArray[np.int32]
    excluded: int
    skipped: list[Skipped]
    decisions: dict[str, NDArray[np.int32]]

    def of(self, model: str) -> Decisions:
        """What one model decided."""
        names = [os.fsdecode(path) for path in self.paths]
        return Decisions(
            categories=self.categories,
            images=names,
            shape=self.shape,
            texture=self.texture,
            decision=self.decisions[model],
            excluded=self.excluded,
        )


@dataclass(frozen=True)
class CueDeciding:
    """Measures which category the models at `models` decide for; `mappings`: the classes of each category, by model."""

    models: tuple[int, ...]
    mappings: dict[int, dict[str, list[int]]]

    def start(self, runners: Sequence[Runner]) -> "CueShard":
        return CueShard({model: runners[model] for model in self.models}, self.mappings)


class CueShard:
    """What is measured of one shard."""

    def __init__(self, runners: dict[int, Runner], mappings: dict[int, dict[str, list[int]]]) -> None:
        self._runners, self._mappings = runners, mappings
        self._rows = Rows()

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        self._rows.add(position=batch.positions)
        for model, runner in self._runners.items():
            decided = decide(probabilities(runner, batch.pixels), self._mappings[model])
            self._rows.add(**{str(model): decided.astype(np.int32)})

    def part(self) -> Part:
        """`position`, and int32 [images] by each model's number: indices into the categories."""
        return self._rows.part()


def decide_cue_conflict(
    engine: Engine, runners: Sequence[Runner], images: ImageSet, skipped: list[Skipped], file: Path | None
) -> CueConflict:
    """What every runner decides for the images. `file`: which classes make a category, as JSON.

    Raises ShapebiasError as `label_images` does, and where no image can be read.
    """
    mappings, stimuli = label_images(runners, images, file)
    unreadable: dict[bytes, Skipped] = {}
    readable = np.ones(len(stimuli.used), bool)
    decisions: dict[str, NDArray[np.int32]] = {}
    for geometry, models in by_geometry(runners).items():
        labels = [runners[model].model.label for model in models]
        measure = CueDeciding(models, {model: mappings[runners[model].model.label] for model in models})
        title = f"{', '.join(labels)}: cue conflict"
        shards = engine.run(Scan(f"cue-conflict-{geometry.key}", title, images, geometry, measure, stimuli.used))
        found = by_image(shards, len(stimuli.used), [str(model) for model in models])
        readable &= found["seen"]
        unreadable |= {each.path: each for each in shards.skipped}
        if found["seen"].any():
            decisions |= {label: found[str(model)] for label, model in zip(labels, models, strict=True)}
    if not readable.any():
        reasons = ", ".join(dict.fromkeys(each.reason for each in unreadable.values()))
        raise ShapebiasError(f"no cue-conflict image in {printable(str(images.root))} can be used: {reasons}")
    misnamed = [Skipped(os.fsencode(name), reason) for name, reason in stimuli.unusable]
    return CueConflict(
        list(next(iter(mappings.values()))),
        stimuli.used[readable],
        [images.paths[index] for index in stimuli.used[readable]],
        stimuli.shape[readable],
        stimuli.texture[readable],
        stimuli.excluded,
        [*skipped, *misnamed, *unreadable.values()],
        {runner.model.label: decisions[runner.model.label][readable] for runner in runners},
    )


def label_images(
    runners: Sequence[Runner], images: ImageSet, file: Path | None
) -> tuple[dict[str, dict[str, list[int]]], Stimuli]:
    """The classes of each category for every model by its label, and every image's shape and texture, from its name.

    Raises ShapebiasError where no image is a cue-conflict stimulus, or a network's classes make no categories.
    """
    mappings = {runner.model.label: category_mapping(runner, file) for runner in runners}
    categories = list(next(iter(mappings.values())))
    for label, mapping in mappings.items():
        if list(mapping) != categories:
            raise ShapebiasError(f"{label} decides among other categories than {next(iter(mappings))}: run them apart")
    textures = list(TEXTURES) if categories == list(SHAPES) else None
    stimuli = label_stimuli([os.fsdecode(path) for path in images.paths], categories, textures)
    if not len(stimuli.used):
        reasons = ", ".join(dict.fromkeys(reason for _, reason in stimuli.unusable[:100])) or "shape is texture in all"
        raise ShapebiasError(f"no cue-conflict images in {printable(str(images.root))}: {reasons}")
    return mappings, stimuli


def probabilities(runner: Runner, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [B, classes]: the softmax of the network's scores."""
    scores = runner.forward(pixels)
    assert scores is not None
    found: NDArray[np.float32] = torch.softmax(scores.float(), 1).cpu().numpy()
    return found


def category_mapping(runner: Runner, file: Path | None) -> dict[str, list[int]]:
    """The classes of every category: as the file says, ImageNet's 16 categories, or the built-in shapes.

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
