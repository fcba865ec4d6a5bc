"""The cue-conflict pass: by which cue a model decides for images whose shape and texture are of two categories."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.core.categories import identity_mapping, load_mapping, sixteen_classes
from shapebias.core.cue_conflict import Decisions, Stimuli, decide, label_stimuli
from shapebias.core.errors import ShapebiasError
from shapebias.core.imagenet import class_names, wnids
from shapebias.core.text import printable
from shapebias.precompute.images.builtin import SHAPES, TEXTURES
from shapebias.precompute.images.folder import ImageSet, Skipped
from shapebias.precompute.runner import Runner
from shapebias.precompute.stream import Stream


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
        return Decisions(self.categories, names, self.shape, self.texture, self.decisions[model], self.excluded)


def decide_cue_conflict(
    runners: list[Runner], stream: Stream, skipped: list[Skipped], file: Path | None
) -> CueConflict:
    """What every runner decides for the stream's images. `file`: which classes make a category, as JSON.

    Raises ShapebiasError as `label_images` does, and where no image can be read.
    """
    mappings, stimuli = label_images(runners, stream.images, file)
    unreadable: dict[bytes, Skipped] = {}
    readable = np.ones(len(stimuli.used), bool)
    decisions = {runner.model.label: np.full(len(stimuli.used), -1, np.int32) for runner in runners}
    for geometry in dict.fromkeys(runner.geometry for runner in runners):
        group = [runner for runner in runners if runner.geometry == geometry]
        title = f"{', '.join(runner.model.label for runner in group)}: cue conflict"
        seen = np.zeros(len(stimuli.used), bool)
        for batch in stream.batches(title, geometry, stimuli.used):
            seen[batch.positions] = True
            for runner in group:
                label = runner.model.label
                decisions[label][batch.positions] = decide(probabilities(runner, batch.pixels), mappings[label])
        readable &= seen
        unreadable |= {each.path: each for each in stream.skipped}
    if not readable.any():
        reasons = ", ".join(dict.fromkeys(each.reason for each in unreadable.values()))
        raise ShapebiasError(f"no cue-conflict image in {printable(str(stream.images.root))} can be used: {reasons}")
    misnamed = [Skipped(os.fsencode(name), reason) for name, reason in stimuli.unusable]
    return CueConflict(
        list(next(iter(mappings.values()))),
        stimuli.used[readable],
        [stream.images.paths[index] for index in stimuli.used[readable]],
        stimuli.shape[readable],
        stimuli.texture[readable],
        stimuli.excluded,
        [*skipped, *misnamed, *unreadable.values()],
        {label: decided[readable] for label, decided in decisions.items()},
    )


def label_images(
    runners: list[Runner], images: ImageSet, file: Path | None
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
