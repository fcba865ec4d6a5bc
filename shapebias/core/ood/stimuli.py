"""Parses the names of stimuli: the category, the condition, and which image was changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.ood.sets import condition_key
from shapebias.core.text import printable

NO_CONDITION = -1

# 0001_hp_dnn_0.7_boat_10_n03662601_12531.png: trial, experiment, observer, condition, category, a number, the image
_TRIAL = re.compile(r"[0-9]+_[^_]+_[^_]+_(?P<condition>[^_]+)_(?P<category>[^_]+)_[0-9]+_(?P<image>.+)")
_EXAMPLE = "0001_hp_dnn_0.7_boat_10_n03662601_12531.png"


def image_id(name: str) -> str:
    """Return the name that identifies an image for all observers, by the published rule.

    That is the name without folders and without the text before the last `_`, except for a WordNet id.

    >>> image_id("boat/0001_hp_dnn_0.7_boat_10_n03662601_12531.png")
    'n03662601_12531.png'
    """
    *before, last = name.rpartition("/")[2].split("_")
    return f"{before[-1]}_{last}" if before and before[-1].startswith("n0") else last


def label_stimulus(name: str, categories: Sequence[str]) -> tuple[str, str]:
    """Return the category and the condition of a stimulus; the condition is empty where there is none.

    name:        the file's name with its folders
    categories:  the names of the categories

    The name of a trial in the published sets (0001_hp_dnn_0.7_boat_10_n03662601_12531.png) contains both, in any
    folder; other images have the category that their folder is named after. Raises ValueError that says what is wrong:
    neither gives a known category, or they give two.

    >>> label_stimulus("boat/photo-7.png", ["boat", "car"])
    ('boat', '')
    """
    above, _, file = name.rpartition("/")
    folder = above.rpartition("/")[2]
    trial = _TRIAL.fullmatch(file)
    if trial is not None and trial["category"] in categories:
        if folder in categories and folder != trial["category"]:
            raise ValueError(f"named after {trial['category']}, but in folder {folder}")
        return trial["category"], trial["condition"] if condition_key(trial["condition"]) else ""
    category = folder if trial is None or folder in categories else trial["category"]
    if not category:
        raise ValueError(f"in no folder of a category, and not named like {_EXAMPLE}")
    if category not in categories:
        raise ValueError(f"unknown category {printable(category, 40)}")
    return category, ""


def condition_names(conditions: Sequence[str], condition: NDArray[np.int32]) -> list[str]:
    """Return the name of each image's condition.

    `condition` int32 [images] has indices into the names `conditions`; NO_CONDITION (-1) becomes an empty name.
    """
    names = [*conditions, ""]  # the empty name has index -1
    return [names[index] for index in condition.tolist()]


@dataclass(frozen=True, kw_only=True)
class SetStimuli:
    """The stimuli among some files.

    used:        int64 [images], the indices of the stimuli among the files
    category:    int32 [images], an index into the categories
    conditions:  the different conditions, as the files' names have them
    condition:   int32 [images], an index into `conditions`; NO_CONDITION (-1) for none
    unusable:    (name, reason) of every other file
    """

    used: NDArray[np.int64]
    category: NDArray[np.int32]
    conditions: list[str]
    condition: NDArray[np.int32]
    unusable: list[tuple[str, str]]


def label_stimuli(names: Sequence[str], categories: Sequence[str]) -> SetStimuli:
    """Return the stimuli among files, as `label_stimulus` finds them, and why the other files cannot be used.

    names are those of the files with their folders, categories the names of the categories. Raises no error.
    """
    rows, unusable = [], []
    numbers = {"": NO_CONDITION}
    for row, name in enumerate(names):
        try:
            category, condition = label_stimulus(name, categories)
        except ValueError as error:
            unusable.append((name, str(error)))
            continue
        rows.append((row, categories.index(category), numbers.setdefault(condition, len(numbers) - 1)))
    table = np.array(rows, np.int64).reshape(-1, 3)
    return SetStimuli(
        used=table[:, 0],
        category=table[:, 1].astype(np.int32),
        conditions=list(numbers)[1:],
        condition=table[:, 2].astype(np.int32),
        unusable=unusable,
    )
