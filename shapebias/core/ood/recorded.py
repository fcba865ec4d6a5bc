"""Recorded decisions for sets of stimuli: reads and writes the files of model-vs-human,
raw-data/SET/SET_SUBJECT_SESSION.csv.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shapebias.core.ood.decisions import OodObserver, SetDecisions
from shapebias.core.ood.sets import PUBLISHED, condition_key
from shapebias.core.shape_bias.decision_files import (
    NO_RESPONSE,
    Row,
    export_files,
    find_files,
    is_person,
    read_files,
    write_rows,
)
from shapebias.core.text import printable

_SESSION = re.compile(r"session-([0-9]{1,4})")


@dataclass(frozen=True)
class RecordedSets:
    """Decisions by observer and set, and the problems of the files, one line each."""

    observers: dict[OodObserver, dict[str, SetDecisions]]
    problems: list[str]


@dataclass
class _SetTrials:
    """The trials of one observer in one set, collected while files are read."""

    images: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    rows: list[tuple[int, int]] = field(default_factory=list)  # indices of the category and of the decision


def read_decisions(paths: Iterable[Path], categories: Sequence[str], sets: Iterable[str]) -> RecordedSets:
    """Return the decisions in CSV files: those among `paths`, and those at any depth in the folders among them.

    categories:  the names of the categories; decisions hold indices into them
    sets:        names of sets beside the published ones

    A file belongs to the set that its name begins with, else to the set that its folder is named after. An observer may
    have several files. Unusable data (a file that belongs to no set or cannot be read, rows with an unknown category)
    is left out and listed in `problems`. Raises no error.
    """
    set_names = {*PUBLISHED, *sets}
    files, problems = find_files(paths, "**/*")
    set_of = {file: _set_of(file, set_names) for file in files}
    for file in (file for file, name in set_of.items() if name is None):
        text = printable(str(file))
        problems.append(f"{text} belongs to no known set: call it SET_SUBJECT_session-1.csv, or its folder SET")
    trials: defaultdict[tuple[str, str], _SetTrials] = defaultdict(_SetTrials)
    index_of = {category: index for index, category in enumerate(categories)}

    def take(file: Path, row: Row, decision: int) -> None:
        if not row["subj"]:
            raise ValueError("no subject")
        if row["category"] not in index_of:
            raise ValueError(f"unknown category {printable(row['category'], 40)}")
        trial_rows = trials[row["subj"], str(set_of[file])]
        trial_rows.images.append(row["imagename"])
        trial_rows.conditions.append(row.get("condition", ""))
        trial_rows.rows.append((index_of[row["category"]], decision))

    problems += read_files([file for file in files if set_of[file] is not None], categories, take)
    observers: dict[OodObserver, dict[str, SetDecisions]] = {}
    for (subject, name), trial_rows in trials.items():
        category, decision = np.array(trial_rows.rows, np.int32).reshape(-1, 2).T
        observers.setdefault(OodObserver(subject, "recorded", is_person(subject)), {})[name] = SetDecisions(
            categories=list(categories),
            images=trial_rows.images,
            conditions=trial_rows.conditions,
            category=category,
            decision=decision,
        )
    return RecordedSets(observers, problems)


def _set_of(file: Path, set_names: set[str]) -> str | None:
    """Return the known set that a file belongs to, None for none.

    It is the longest name that the file's name begins with, followed by `_`, else the name of its folder.
    """
    named = [name for name in set_names if file.name.startswith(f"{name}_")]
    folder = file.absolute().parent.name
    return max(named, key=len, default=folder if folder in set_names else None)


def export_decisions(folder: Path, decided: Mapping[str, Mapping[str, SetDecisions]]) -> list[Path]:
    """Write the decisions of models, as model-vs-human does: in `folder`, one folder per set with one file per model.

    decided:  the decisions by the model's name, then by the set's

    Returns the paths of the files; files that exist are replaced. Raises CannotWriteError where one cannot be written.
    """
    names = list(dict.fromkeys(name for by_set in decided.values() for name in by_set))
    written = []
    for name in names:
        models = [model for model, by_set in decided.items() if name in by_set]
        for path, model in zip(export_files(folder / name, name, models), models, strict=True):
            write_rows(path, _rows(model, decided[model][name]))
            written.append(path)
    return written


def _rows(model: str, decisions: SetDecisions) -> Iterator[list[object]]:
    names = decisions.categories
    columns = (decisions.images, decisions.conditions, decisions.category, decisions.decision)
    for trial, (image, condition, category, decision) in enumerate(zip(*columns, strict=True), 1):
        folders, _, file = image.rpartition("/")
        session = _SESSION.search(folders)
        response = names[decision] if decision >= 0 else NO_RESPONSE
        condition_text = condition if condition_key(condition) else "NaN"
        yield [model, int(session[1]) if session else 1, trial, "NaN", response, names[category], condition_text, file]
