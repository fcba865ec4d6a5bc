"""The out-of-distribution pass: each model's decisions for a set of stimuli among their categories."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.ood.decisions import SetDecisions
from shapebias.core.ood.stimuli import SetStimuli, condition_names, label_stimuli
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.measures.categories import (
    CategoryImages,
    CategoryMapping,
    category_mappings,
    decide_among,
)
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Engine

_SHOWN = 3  # largest number of reasons that a note names


@dataclass(kw_only=True)
class OodSet:
    """The images of a set of stimuli that were used, and each model's decisions.

    categories, conditions:  their names; `category`, `condition` and decisions are indices into these
    paths:                   the paths of the images used, in their set
    category, condition:     int32 [images]; condition -1 = none
    stimuli:                 how images were prepared: see `categories.stimulus_geometry`
    skipped:                 the images that could not be used, with the reasons
    decisions:               by the model's label int32 [images], -1 = none
    """

    name: str
    categories: list[str]
    conditions: list[str]
    paths: list[bytes]
    category: NDArray[np.int32]
    condition: NDArray[np.int32]
    stimuli: str
    skipped: list[Skipped]
    decisions: dict[str, NDArray[np.int32]]

    def of(self, model: str) -> SetDecisions:
        """Return the decisions of the model with this label."""
        return SetDecisions(
            categories=self.categories,
            images=[os.fsdecode(path) for path in self.paths],
            conditions=condition_names(self.conditions, self.condition),
            category=self.category,
            decision=self.decisions[model],
            stimuli=self.stimuli,
        )

    def notes(self) -> list[str]:
        """Return one line on the images that were left out, in a list; an empty list where there are none."""
        if not self.skipped:
            return []
        counts = Counter(image.reason for image in self.skipped).most_common()
        reasons = ", ".join(f"{reason} ({times:,})" for reason, times in counts[:_SHOWN])
        more = f" and {len(counts) - _SHOWN:,} more reasons" if len(counts) > _SHOWN else ""
        return [f"{self.name}: {len(self.skipped):,} images left out: {reasons}{more}"]


def label_set(
    runners: Sequence[Runner], name: str, image_set: ImageSet, file: Path | None
) -> tuple[dict[str, CategoryMapping], SetStimuli]:
    """Return the classes of each category for every model by its label, and the images' categories and conditions.

    name: that of the set, for messages. file: see `category_mapping`. Raises the errors of `category_mappings`, and
    ShapebiasError where no image has a category.
    """
    mappings = category_mappings(runners, file)
    categories = list(next(iter(mappings.values())))
    stimuli = label_stimuli([os.fsdecode(path) for path in image_set.paths], categories)
    if not len(stimuli.used):
        reasons = ", ".join(dict.fromkeys(reason for _, reason in stimuli.unusable[:100]))
        where, category_names = printable(str(image_set.root)), printable(", ".join(categories))
        raise ShapebiasError(
            f"--ood {name}: no image in {where} is of a category ({reasons}); there are {category_names}"
        )
    return mappings, stimuli


def decide_ood(
    engine: Engine,
    runners: Sequence[Runner],
    image_set: ImageSet,
    skipped: list[Skipped],
    *,
    name: str,
    file: Path | None,
    stimuli_as: str,
) -> OodSet:
    """Return every runner's decisions for the images of a set.

    skipped:     images that were left out of the listing
    file:        JSON that says which classes make a category; None: see `category_mapping`
    stimuli_as:  see `categories.stimulus_geometry`

    Raises the errors of `label_set`, and ShapebiasError where no image can be read or a network fails.
    """
    mappings, stimuli = label_set(runners, name, image_set, file)
    images = CategoryImages(
        name=f"ood-{name}", title=name, image_set=image_set, positions=stimuli.used, stimuli_as=stimuli_as
    )
    decided = decide_among(engine, runners, images, mappings)
    if not decided.readable.any():
        reasons = ", ".join(dict.fromkeys(image.reason for image in decided.skipped))
        raise ShapebiasError(f"--ood {name}: no image in {printable(str(image_set.root))} can be used: {reasons}")
    unnamed = [Skipped(os.fsencode(path), reason) for path, reason in stimuli.unusable]
    return OodSet(
        name=name,
        categories=list(next(iter(mappings.values()))),
        conditions=stimuli.conditions,
        paths=[image_set.paths[position] for position in stimuli.used[decided.readable]],
        category=stimuli.category[decided.readable],
        condition=stimuli.condition[decided.readable],
        stimuli=stimuli_as,
        skipped=[*skipped, *unnamed, *decided.skipped],
        decisions={label: decisions[decided.readable] for label, decisions in decided.by_model.items()},
    )
