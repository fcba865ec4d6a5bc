"""What the names of stimuli say: the category, the condition, and which image it was."""

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
    """Return what all observers call an image, by the published rule: its name without folders and without what stands
    before the last `_`, but for a WordNet id (`n03662601_12531.png`)."""
    *before, last = name.rpartition("/")[2].split("_")
    return f"{before[-1]}_{last}" if before and before[-1].startswith("n0") else last


def label_stimulus(name: str, categories: Sequence[str]) -> tuple[str, str]:
    """Return category and condition of a stimulus; the condition is empty where there is none.

    Names of trials say both, whatever folder they are in; other images are of the category that their folder is called
    by. Raises ValueError that says what is wrong.
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
    """Return the name of each image's condition, int32 [images]; empty for NO_CONDITION."""
    names = [*conditions, ""]  # which -1 is the index of
    return [names[index] for index in condition.tolist()]


@dataclass(frozen=True, kw_only=True)
class Stimuli:
    """The stimuli among some files.

    used int64 [images]: which files; category int32 [images]: an index into the categories; condition int32 [images]:
    an index into `conditions`, which are as the names have them, NO_CONDITION (-1) for none. `unusable` lists the other
    files, each with the reason.
    """

    used: NDArray[np.int64]
    category: NDArray[np.int32]
    conditions: list[str]
    condition: NDArray[np.int32]
    unusable: list[tuple[str, str]]


def label_stimuli(names: Sequence[str], categories: Sequence[str]) -> Stimuli:
    """Return `label_stimulus` of many files: which can be used, and why the rest cannot. Raises nothing."""
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
    return Stimuli(
        used=table[:, 0],
        category=table[:, 1].astype(np.int32),
        conditions=list(numbers)[1:],
        condition=table[:, 2].astype(np.int32),
        unusable=unusable,
    )
