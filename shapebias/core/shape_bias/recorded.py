"""Recorded decisions in the CSV format of model-vs-human (Geirhos et al. 2021): read, and written.

One row a trial, with columns subj, session, trial, rt, object_response, category (the shape), condition and imagename.
"""

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shapebias.core.files import cannot_write
from shapebias.core.shape_bias.decisions import NO_DECISION, Decisions, label_stimulus, parse_stimulus, short_name
from shapebias.core.text import printable

COLUMNS = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")
EXPERIMENT = "style-transfer-512-nomask-experiment"  # what the published files' names begin with
_NEEDED = ("subj", "object_response", "category", "imagename")
_NO_RESPONSE = ("na", "")
_NAMED = 3  # reasons a line names


def is_person(subject: str) -> bool:
    """Return whether a `subj` is a person, by the format's convention (`subject-01`); the others are models."""
    return subject.startswith("subject-")


@dataclass(frozen=True)
class Recorded:
    """Decisions by subject, and what was wrong with the files, a line each."""

    subjects: dict[str, Decisions]
    problems: list[str]


@dataclass
class _Trials:
    """The trials of one subject while files are read."""

    images: list[str] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)  # shape, texture, decision


def read_decisions(paths: Iterable[Path], categories: Sequence[str]) -> Recorded:
    """Read CSV files and folders of them; a subject may have several files. Raises nothing.

    What cannot be used (a file, rows with a bad image name or an unknown category) is left out and named. Responses
    that are no category are kept as no decision, and named unless they are the format's `na`.
    """
    trials: defaultdict[str, _Trials] = defaultdict(_Trials)
    problems: list[str] = []
    files: dict[Path, Path] = {}
    for path in paths:
        tables = sorted(file for file in path.glob("*") if file.suffix.lower() == ".csv") if path.is_dir() else [path]
        if not tables:
            problems.append(f"{printable(str(path))} holds no .csv file")
        files |= {Path(os.path.realpath(file)): file for file in tables}
    for file in files.values():
        try:
            problems += _read_file(file, list(categories), trials)
        except OSError as error:
            problems.append(f"{printable(str(file))} cannot be read: {error.strerror}")
        except (csv.Error, KeyError) as error:
            problems.append(f"{printable(str(file))} is left out: {error.args[0]}")
    subjects = {}
    for subject, own in trials.items():
        shape, texture, decision = np.array(own.rows, np.int32).reshape(-1, 3).T
        subjects[subject] = Decisions(
            categories=list(categories),
            images=own.images,
            shape=shape,
            texture=texture,
            decision=decision,
        )
    return Recorded(subjects, problems)


def _rows(file: Path) -> Iterator[dict[str, str]]:
    """Yield the rows as {column: text}. Raises OSError, csv.Error, and KeyError for missing columns."""
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream)
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            raise KeyError(f"no column {', '.join(missing)}")
        for cells in reader:
            if cells:
                cells += [""] * (len(header) - len(cells))
                yield {name: cell.strip() for name, cell in zip(header, cells, strict=False)}


def _read_file(file: Path, categories: list[str], trials: defaultdict[str, _Trials]) -> list[str]:
    """Add a file's trials, all or (on an error) none; return lines on what is wrong with some of them."""
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    odd: Counter[str] = Counter()
    rows = list(_rows(file))
    for row in rows:
        subject, image, response = row["subj"], short_name(row["imagename"]), row["object_response"]
        try:
            shape, texture = _label(row, image, categories)
        except ValueError as error:
            left_out[str(error)].append(row["imagename"])
            continue
        known = response in categories
        if not known and response.lower() not in _NO_RESPONSE:
            odd[printable(response, 40)] += 1
        trials[subject].images.append(image)
        trials[subject].rows.append((shape, texture, categories.index(response) if known else NO_DECISION))
    file_text = printable(str(file))
    lines = []
    if not rows:
        lines.append(f"{file_text} holds no decision")
    if left_out:
        reasons = [f"{why} ({len(names):,}, such as {printable(names[0], 60)})" for why, names in left_out.items()]
        count = sum(map(len, left_out.values()))
        lines.append(f"{file_text}: {count:,} of {len(rows):,} rows left out: {_first(reasons)}")
    if odd:
        responses = [f"{response} ({times:,})" for response, times in odd.most_common()]
        lines.append(f"{file_text}: {odd.total():,} responses are no category, counted as other: {_first(responses)}")
    return lines


def _label(row: dict[str, str], image: str, categories: list[str]) -> tuple[int, int]:
    if not row["subj"]:
        raise ValueError("no subject")
    if row["category"] not in categories:
        raise ValueError(f"unknown category {printable(row['category'], 40)}")
    shape, texture = label_stimulus(image, categories)
    if categories[shape] != row["category"]:
        raise ValueError(f"category {row['category']}, but the image is named otherwise")
    return shape, texture


def _first(reasons: list[str]) -> str:
    more = len(reasons) - _NAMED
    return ", ".join(reasons[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def export_decisions(folder: Path, models: Mapping[str, Decisions]) -> list[Path]:
    """Write the decisions of each model by name so that model-vs-human reads them, and return the files.

    `folder` is made if it is not there. Raises CannotWriteError where a file cannot be written.
    """
    paths: list[Path] = []
    for model, decisions in models.items():
        path = folder / _file_name(model)
        while path in paths:  # names that differ only in what a file name does not show
            path = path.with_name(path.name.replace("_session", "-2_session"))
        write_decisions(path, model, decisions)
        paths.append(path)
    return paths


def _file_name(model: str) -> str:
    """Return a name as the published files have; underscores separate its parts."""
    subject = re.sub("[^A-Za-z0-9.+]+", "-", model).strip("-") or "model"
    return f"{EXPERIMENT}_{subject}_session-1.csv"


def write_decisions(path: Path, model: str, decisions: Decisions) -> None:
    """Write the decisions of one model to a file.

    An image whose name does not say its two categories (textures of the built-in images have names of their own) gets
    one that does, as model-vs-human takes the texture from there. Raises CannotWriteError.
    """
    names = decisions.categories
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            columns = (decisions.images, decisions.shape, decisions.texture, decisions.decision)
            for trial, (image, shape, texture, decision) in enumerate(zip(*columns, strict=True), 1):
                response = names[decision] if decision >= 0 else "na"
                name = _telling_name(image, names[shape], names[texture], trial)
                writer.writerow([model, 1, trial, "NaN", response, names[shape], 0, name])
    except OSError as error:
        raise cannot_write(path, error) from error


def _telling_name(image: str, shape: str, texture: str, trial: int) -> str:
    with suppress(ValueError):
        if parse_stimulus(image) == (shape, texture):
            return short_name(image)
    return f"{shape}{trial}-{texture}{trial}.png"
