"""The lines of a list of images or of a file of labels: a path each, and its class, in the forms that people have.

`PATH`, `PATH<tab>CLASS`, `PATH CLASS`, `PATH,CLASS`, and tables (CSV, TSV) with a header that names their columns.
"""

import csv
import os
import re
from collections.abc import Iterator, Sequence

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.file_kinds import EXTENSIONS, is_image_name

Line = tuple[bytes, bytes | None]

_IMAGE = rb"(?:%b)" % b"|".join(map(re.escape, EXTENSIONS))
_LABELLED = re.compile(rb"(.+" + _IMAGE + rb")(?: *[,;] *| +)(.*)", re.IGNORECASE | re.DOTALL)
_TWO_WORDS = re.compile(rb"([^\s,;]+)[\s,;]+(.+)", re.DOTALL)
_DELIMITERS = ("\t", ",", ";")
# Usual column names, without case, blanks, - and _; the first one in a table counts.
PATH_COLUMNS = (
    *("path", "filepath", "imagepath", "imgpath", "relpath", "filename", "file", "imagefile", "imagename", "imgname"),
    *("image", "img", "imageid", "imgid", "uri", "url", "key", "id", "name"),
)
LABEL_COLUMNS = (
    *("wnid", "synset", "synsetid", "wordnetid", "label", "labels", "labelid", "class", "classid", "classindex"),
    *("classidx", "target", "targets", "y", "gt", "groundtruth", "category", "categoryid", "classname", "labelname"),
    *("categoryname", "classlabel", "predictionstring"),
)


def parse_lines(content: bytes, name: str) -> list[Line]:
    """Return the path and the class (None without one) of each line that has a path, in order.

    `name` is the file's name for messages. Raises UsageError for a table whose columns are not recognised.
    """
    lines = [line.removesuffix(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    rows = [line for line in lines if line.strip()]
    if rows and (header := _header(rows)) is not None:
        delimiter, cells = header
        return list(_table(rows, delimiter, cells, name))
    return [(path, label) for path, label in map(parse_line, rows) if path.strip()]


def parse_line(line: bytes) -> Line:
    """Return the path in a line, and its class; None for a line without one, all of which is then the path.

    The class is the text behind a tab; or, where the path ends like an image's name, behind a comma, a semicolon or
    blanks. A line that begins with a quotation mark is read as CSV.
    """
    line = line.removesuffix(b"\r")
    path, tab, label = line.partition(b"\t")
    if tab:
        return path, _label(label.partition(b"\t")[0])
    if line.startswith(b'"'):
        cells = _cells(line, ",")
        return os.fsencode(cells[0]), _label(os.fsencode(cells[1]) if len(cells) > 1 else b"")
    match = _LABELLED.fullmatch(line)
    if match is None or is_image_name(match[2].strip()):
        return line, None
    separated = line[match.end(1) : match.start(2)].strip()
    return match[1], _label(match[2].partition(separated)[0] if separated else match[2])


def parse_any_line(line: bytes) -> Line:
    """Return the path and the class in a line, as `parse_line` does, but find a class behind any path.

    A path without an image's extension ends at the first blank, comma or semicolon. The class is None where nothing
    follows, and where the whole line ends like an image's name: then all of it is the path.
    """
    path, label = parse_line(line)
    match = _TWO_WORDS.fullmatch(line.strip()) if label is None and not is_image_name(line.strip()) else None
    return (path, label) if match is None else (match[1], _label(match[2]))


def _label(text: bytes) -> bytes | None:
    return text.strip().strip(b'"').strip() or None


def _cells(line: bytes, delimiter: str) -> list[str]:
    """Return the cells of one line of a table; a list of the whole line where it is not valid CSV."""
    text = os.fsdecode(line)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [text]) or [text]
    except csv.Error:
        return [text]


def _header(rows: Sequence[bytes]) -> tuple[str, list[str]] | None:
    """Return the delimiter of a table and the names of its columns, as `plain_column` returns them, from its header.

    Returns None where the first of the lines is not a header.
    """
    for delimiter in _DELIMITERS:
        cells = [plain_column(cell) for cell in _cells(rows[0], delimiter)]
        images = any(is_image_name(os.fsencode(cell)) for cell in _cells(rows[0], delimiter))
        if len(cells) > 1 and not images and (set(cells) & {*PATH_COLUMNS} or set(cells) & {*LABEL_COLUMNS}):
            return delimiter, cells
    return None


def plain_column(cell: str) -> str:
    """Return the name of a column in lower case, without blanks, hyphens and underscores, as in PATH_COLUMNS."""
    return re.sub(r"[\s_-]", "", cell).lower()


def _table(rows: Sequence[bytes], delimiter: str, columns: list[str], name: str) -> Iterator[Line]:
    """Yield the path and the class of each row of a table that has a path.

    rows:     all lines of the table; the first one is its header
    columns:  the names in the header, as `plain_column` returns them
    name:     the file's name for messages

    Raises UsageError where it is not clear which column has the paths, or which one the classes.
    """
    label_at = next((columns.index(column) for column in LABEL_COLUMNS if column in columns), None)
    path_at = next((columns.index(column) for column in PATH_COLUMNS if column in columns), None)
    if path_at is None and label_at is not None and len(columns) == 2:
        path_at = 1 - label_at
    if label_at is None and path_at is not None and len(columns) == 2:
        label_at = 1 - path_at
    if path_at is None or label_at is None:
        missing = "path" if path_at is None else "label"
        has = printable(", ".join(columns), 80)
        raise UsageError(f"{printable(name)} has the columns {has}: call that of the {missing} `{missing}`")
    for row in rows[1:]:
        cells = [*_cells(row, delimiter), *[""] * len(columns)]
        if cells[path_at].strip():
            yield os.fsencode(cells[path_at].strip()), _label(os.fsencode(cells[label_at]))
