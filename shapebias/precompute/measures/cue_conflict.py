"""The cue-conflict pass: whether a model decides by shape or by texture for images where the two conflict."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.shape_bias.categories import is_part_of_sixteen, sixteen_classes
from shapebias.core.shape_bias.decisions import Decisions, Stimuli, label_stimuli
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.drawing import SHAPES, TEXTURES
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.measures.categories import (
    CategoryImages,
    CategoryMapping,
    category_mappings,
    decide_among,
)
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Engine


@dataclass(kw_only=True)
class CueConflict:
    """The cue-conflict images that were used, and each model's decisions.

    categories:      the names of the categories; shapes, textures and decisions are indices into these
    positions:       int64 [images], in the listing
    paths:           the paths of the images in their set
    shape, texture:  int32 [images], the categories of the images; equal for images without a conflict
    stimuli:         how images were prepared: see `categories.stimulus_geometry`
    skipped:         the images that could not be used, with the reasons
    decisions:       by the model's label, int32 [images]
    others:          number of further images, which are of categories that the models do not have
    """

    categories: list[str]
    positions: NDArray[np.int64]
    paths: list[bytes]
    shape: NDArray[np.int32]
    texture: NDArray[np.int32]
    stimuli: str
    skipped: list[Skipped]
    decisions: dict[str, NDArray[np.int32]]
    others: int = 0

    def of(self, model: str) -> Decisions:
        """Return the decisions of the model with this label."""
        names = [os.fsdecode(path) for path in self.paths]
        return Decisions(
            categories=self.categories,
            images=names,
            shape=self.shape,
            texture=self.texture,
            decision=self.decisions[model],
            stimuli=self.stimuli,
        )


def decide_cue_conflict(
    engine: Engine,
    runners: Sequence[Runner],
    image_set: ImageSet,
    skipped: list[Skipped],
    *,
    file: Path | None,
    stimuli_as: str,
) -> CueConflict:
    """Return every runner's decisions for the images.

    skipped:     images that were left out of the listing
    file:        JSON that says which classes make a category; None: see `category_mapping`
    stimuli_as:  see `categories.stimulus_geometry`

    Raises the errors of `label_images`, and ShapebiasError where no image can be read or a network fails.
    """
    mappings, stimuli = label_images(runners, image_set, file)
    images = CategoryImages(
        name="cue-conflict",
        title="cue conflict",
        image_set=image_set,
        positions=stimuli.used,
        stimuli_as=stimuli_as,
    )
    decided = decide_among(engine, runners, images, mappings)
    if not decided.readable.any():
        reasons = ", ".join(dict.fromkeys(image.reason for image in decided.skipped))
        raise ShapebiasError(f"no cue-conflict image in {printable(str(image_set.root))} can be used: {reasons}")
    misnamed = [Skipped(os.fsencode(name), reason) for name, reason in stimuli.unusable]
    used = stimuli.used[decided.readable]
    return CueConflict(
        categories=list(next(iter(mappings.values()))),
        positions=used,
        paths=[image_set.paths[position] for position in used],
        shape=stimuli.shape[decided.readable],
        texture=stimuli.texture[decided.readable],
        stimuli=stimuli_as,
        skipped=[*skipped, *misnamed, *decided.skipped],
        decisions={label: decisions[decided.readable] for label, decisions in decided.by_model.items()},
        others=stimuli.others,
    )


def label_images(
    runners: Sequence[Runner], image_set: ImageSet, file: Path | None
) -> tuple[dict[str, CategoryMapping], Stimuli]:
    """Return the classes of each category for every model by its label, and the images' shapes and textures, which
    their names tell.

    file: see `category_mapping`. Raises the errors of `category_mappings`, and ShapebiasError where no image is a
    cue-conflict stimulus.
    """
    mappings = category_mappings(runners, file)
    categories = list(next(iter(mappings.values())))
    textures = list(TEXTURES) if categories == list(SHAPES) else None
    whole = list(sixteen_classes()) if is_part_of_sixteen(categories) else []
    stimuli = label_stimuli([os.fsdecode(path) for path in image_set.paths], categories, textures, whole)
    if not stimuli.conflicting.any():
        reasons = (
            ", ".join(dict.fromkeys(reason for _, reason in stimuli.unusable[:100]))
            or "shape and texture are the same in all"
        )
        hint = f"; the categories are {printable(', '.join(categories))}" if "unknown category" in reasons else ""
        raise ShapebiasError(f"no cue-conflict images in {printable(str(image_set.root))}: {reasons}{hint}")
    return mappings, stimuli
