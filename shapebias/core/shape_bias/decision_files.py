"""Files of decisions in the CSV format of model-vs-human (Geirhos et al. 2021): found, read row by row, and written.

Each row is a trial: what a subject, a person or a model, decided for an image. Its columns are subj, session, trial,
rt (reaction time), object_response (the decision), category (the right one), condition and imagename.
"""

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shapebias.core.files import cannot_write
from shapebias.core.shape_bias.decisions import NO_DECISION
from shapebias.core.text import printable

COLUMNS = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")
NO_RESPONSE = "na"
_NEEDED = ("subj", "object_response", "category", "imagename")
_NAMED = 3  # most reasons or responses that a line names

Row = dict[str, str]  # the texts of a trial by column
# Takes a file, one of its rows and the row's decision. Raises ValueError, which says why, to leave the row out.
Take = Callable[[Path, Row, int], None]


def is_person(subject: str) -> bool:
    """Return whether a subject is a person, by the convention for their names (`subject-01`); others are models."""
    return subject.startswith("subject-")


def find_files(paths: Iterable[Path], pattern: str = "*") -> tuple[list[Path], list[str]]:
    """Return the files to read, each once, and a line for every folder that has none.

    These are the `paths` that are not folders, whatever they are called, and the CSV files directly in the folders that
    match the glob `pattern`.
    """
    files: dict[Path, Path] = {}
    problems = []
    for path in paths:
        tables = sorted(file for file in path.glob(pattern) if _is_table(file)) if path.is_dir() else [path]
        if not tables:
            problems.append(f"{printable(str(path))} holds no .csv file")
        files |= {Path(os.path.realpath(file)): file for file in tables}
    return list(files.values()), problems


def _is_table(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def read_files(files: Iterable[Path], categories: Sequence[str], take: Take) -> list[str]:
    """Hand every row of some files to `take`, and return lines on what cannot be used. Raises nothing.

    The decision is an index into `categories`, or NO_DECISION (-1) for a response that is none of them. Such responses
    are named in a line, unless they are empty or the format's `na`. Of a file that cannot be read to its end, no row is
    taken.
    """
    problems = []
    index_of = {category: index for index, category in enumerate(categories)}
    for file in files:
        try:
            problems += _read_file(file, index_of, take)
        except OSError as error:
            problems.append(f"{printable(str(file))} cannot be read: {error.strerror}")
        except (csv.Error, KeyError) as error:
            problems.append(f"{printable(str(file))} is left out: {error.args[0]}")
    return problems


def _read_file(file: Path, index_of: dict[str, int], take: Take) -> list[str]:
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    odd: Counter[str] = Counter()
    rows = list(_rows(file))
    for row in rows:
        response = row["object_response"]
        try:
            take(file, row, index_of.get(response, NO_DECISION))
        except ValueError as error:
            left_out[str(error)].append(row["imagename"])
            continue
        if response not in index_of and response.lower() not in (NO_RESPONSE, ""):
            odd[printable(response, 40)] += 1
    file_text = printable(str(file))
    lines = []
    if not rows:
        lines.append(f"{file_text} holds no decision")
    if left_out:
        reasons = [f"{why} ({len(names):,}, such as {printable(names[0], 60)})" for why, names in left_out.items()]
        count = sum(map(len, left_out.values()))
        lines.append(f"{file_text}: {count:,} of {len(rows):,} rows left out: {_first_reason(reasons)}")
    if odd:
        responses = [f"{response} ({times:,})" for response, times in odd.most_common()]
        lines.append(
            f"{file_text}: {odd.total():,} responses are no category, counted as other: {_first_reason(responses)}"
        )
    return lines


def _rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a file as {column: text}; cells that a row lacks are empty.

    Raises OSError, csv.Error, and KeyError whose text names missing columns.
    """
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


def _first_reason(reasons: list[str]) -> str:
    more = len(reasons) - _NAMED
    return ", ".join(reasons[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def export_files(folder: Path, experiment: str, models: Iterable[str]) -> list[Path]:
    """Return for each model the path of a file in a folder for its decisions, all different. Nothing is written.

    As in the published files, underscores separate the parts of a name: `EXPERIMENT_MODEL_session-1.csv`.
    """
    paths: list[Path] = []
    for model in models:
        subject = re.sub("[^A-Za-z0-9.+]+", "-", model).strip("-") or "model"
        while (path := folder / f"{experiment}_{subject}_session-1.csv") in paths:
            subject += "-2"  # names that differ only in what a file name does not show
        paths.append(path)
    return paths


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a file of rows, each with a value for every one of COLUMNS; its folder is made if it is not there.

    Raises CannotWriteError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    except OSError as error:
        raise cannot_write(path, error) from error
