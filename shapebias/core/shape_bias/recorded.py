"""Recorded cue-conflict decisions: read from files in model-vs-human's format, and written in it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shapebias.core.shape_bias.decision_files import NO_RESPONSE, Row, export_files, find_files, read_files, write_rows
from shapebias.core.shape_bias.decisions import Decisions, label_stimulus, parse_stimulus, short_name
from shapebias.core.text import printable

EXPERIMENT = "style-transfer-512-nomask-experiment"  # prefix of the published files' names


@dataclass(frozen=True)
class Recorded:
    """Decisions by subject (a person or a model), and the problems of the files, one line each."""

    subjects: dict[str, Decisions]
    problems: list[str]


@dataclass
class _Trials:
    """The trials of one subject while files are read."""

    images: list[str] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)  # shape, texture and decision of each trial


def read_decisions(paths: Iterable[Path], categories: Sequence[str]) -> Recorded:
    """Return the decisions in CSV files and folders of them; a subject may have several files. Raises no error.

    `categories` are the names that responses and images may have. Unusable data (a file, rows with a bad image name or
    an unknown category) is left out and listed in `problems`. Responses that are not a category count as no decision,
    and are listed unless they are empty or the format's `na`.
    """
    trials: defaultdict[str, _Trials] = defaultdict(_Trials)

    def take(_: Path, row: Row, decision: int) -> None:
        image = short_name(row["imagename"])
        shape, texture = _label(row, image, list(categories))
        trials[row["subj"]].images.append(image)
        trials[row["subj"]].rows.append((shape, texture, decision))

    files, problems = find_files(paths)
    problems += read_files(files, categories, take)
    subjects = {}
    for subject, subject_trials in trials.items():
        shape, texture, decision = np.array(subject_trials.rows, np.int32).reshape(-1, 3).T
        subjects[subject] = Decisions(
            categories=list(categories),
            images=subject_trials.images,
            shape=shape,
            texture=texture,
            decision=decision,
        )
    return Recorded(subjects, problems)


def _label(row: dict[str, str], image: str, categories: list[str]) -> tuple[int, int]:
    if not row["subj"]:
        raise ValueError("no subject")
    if row["category"] not in categories:
        raise ValueError(f"unknown category {printable(row['category'], 40)}")
    shape, texture = label_stimulus(image, categories)
    if categories[shape] != row["category"]:
        raise ValueError(f"category {row['category']}, but the image's name says another")
    return shape, texture


def export_decisions(folder: Path, models: Mapping[str, Decisions]) -> list[Path]:
    """Write the decisions of models, by the models' names, in the format of model-vs-human, a file for each; return the
    files.

    `folder` is made if it is not there. Raises CannotWriteError where a file cannot be written.
    """
    paths = export_files(folder, EXPERIMENT, models)
    for path, (model, decisions) in zip(paths, models.items(), strict=True):
        write_decisions(path, model, decisions)
    return paths


def write_decisions(path: Path, model: str, decisions: Decisions) -> None:
    """Write the decisions of one model to a file.

    An image whose name does not say its two categories (textures of the built-in images have names of their own) gets
    another name that does, since model-vs-human takes the texture from the name. Raises CannotWriteError.
    """
    write_rows(path, _rows(model, decisions))


def _rows(model: str, decisions: Decisions) -> Iterator[list[object]]:
    names = decisions.categories
    columns = (decisions.images, decisions.shape, decisions.texture, decisions.decision)
    for trial, (image, shape, texture, decision) in enumerate(zip(*columns, strict=True), 1):
        response = names[decision] if decision >= 0 else NO_RESPONSE
        name = _telling_name(image, names[shape], names[texture], trial)
        yield [model, 1, trial, "NaN", response, names[shape], 0, name]


def _telling_name(image: str, shape: str, texture: str, trial: int) -> str:
    with suppress(ValueError):
        if parse_stimulus(image) == (shape, texture):
            return short_name(image)
    return f"{shape}{trial}-{texture}{trial}.png"
