"""Reads boxes around objects from files: ILSVRC's XML, one per image, or a table."""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.sources.labelled_lines import LABEL_COLUMNS, PATH_COLUMNS, plain_column

_SIDES = (  # usual column names, without case, blanks, - and _: left, top, right, bottom
    ("left", "xmin", "x0", "x1"),
    ("top", "ymin", "y0", "y1"),
    ("right", "xmax", "x2", "x1"),
    ("bottom", "ymax", "y2", "y1"),
)
_SIZE = (("width", "imagewidth", "imgwidth"), ("height", "imageheight", "imgheight"))
_STRINGS = "predictionstring"  # Kaggle's LOC_val_solution.csv repeats class, left, top, right, bottom


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of an image.

    boxes:    float64 [boxes, 4]: left, top, right, bottom in px
    classes:  the class of each box; None where it is not given
    size:     width and height of the image in px; None where they are not given
    """

    boxes: NDArray[np.float64]
    classes: tuple[str | None, ...]
    size: tuple[int, int] | None


class NoBoxesError(Exception):
    """The boxes of an image make no sense; the text says why in a few words."""


@dataclass(frozen=True)
class BoxFiles:
    """The files or rows with the boxes of images.

    source:  the folder or table, as the user named it
    files:   the XML file, or the table's rows, by the path of their image without its extension
    digest:  changes when the boxes change
    """

    source: str
    files: Mapping[str, "Path | list[_Row]"]
    digest: str
    _by_stem: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name in self.files:
            self._by_stem.setdefault(name.rpartition("/")[2], []).append(name)

    def find(self, path: bytes) -> ImageBoxes | None:
        """Return the boxes of the image at a path in its set; None where there are none.

        They are found by the image's file name without its extension. If several images have that name, as much of the
        two paths as both have must be the same; None, too, where that is so for more than one.

        Raises NoBoxesError where the boxes make no sense.
        """
        name = _without_extension(os.fsdecode(path))
        same = self._by_stem.get(name.rpartition("/")[2], [])
        if len(same) > 1:
            same = [other for other in same if f"/{other}".endswith(f"/{name}") or f"/{name}".endswith(f"/{other}")]
        if len(same) != 1:
            return None
        source = self.files[same[0]]
        return _read_xml(source) if isinstance(source, Path) else _join(source)


@dataclass(frozen=True)
class _Row:
    """A box: its left, top, right and bottom in px, its class, and its image's size; None for what is not given."""

    sides: tuple[float, ...]
    name: str | None
    size: tuple[int, int] | None


def read_box_files(source: Path) -> BoxFiles:
    """Return the boxes of images from a folder of XML files, or from a table (CSV).

    Raises UsageError where the folder has no XML file or the table cannot be read, ShapebiasError where it is no table
    of boxes.
    """
    if source.is_dir():
        files = dict(_xml_files(source))
        if not files:
            raise UsageError(f"--boxes {printable(str(source))}: no XML files in it, and no table: name a CSV file")
        return BoxFiles(str(source), files, _digest_of_files(files.values()))
    try:
        content = source.read_bytes()
    except OSError as error:
        raise UsageError(f"--boxes {printable(str(source))} cannot be read: {error.strerror}") from error
    rows = read_table(content.decode("utf-8", "surrogateescape"), str(source))
    return BoxFiles(str(source), rows, hashlib.sha256(content).hexdigest())


def read_table(text: str, name: str) -> dict[str, list["_Row"]]:
    """Return the rows of a table by the path of their image without its extension.

    `name` is the table's name for messages.

    Raises ShapebiasError where it is not a table of boxes.
    """
    rows: dict[str, list[_Row]] = {}
    try:
        for path, row in _table(text, name):
            rows.setdefault(_without_extension(path), []).append(row)
    except csv.Error as error:
        raise ShapebiasError(f"{printable(name)} is not a table: {printable(str(error), 100)}") from error
    return rows


def _xml_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the XML files in a folder and its subfolders, each after its path in it without the extension."""
    for subfolder, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(".xml"):
                file = Path(subfolder, name)
                yield _without_extension(file.relative_to(folder).as_posix()), file


def _digest_of_files(files: Iterable[Path]) -> str:
    """Return a digest of the files' paths, sizes and times of change."""
    digest = hashlib.sha256()
    for file in files:
        facts = file.stat()
        digest.update(b"%b\0%d %d" % (os.fsencode(file), facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()


def _without_extension(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}"


def _read_xml(file: Path) -> ImageBoxes:
    """Return the boxes in an XML file of ILSVRC or PASCAL VOC.

    Raises NoBoxesError where it cannot be read, has none, or one makes no sense.
    """
    try:
        root = ElementTree.parse(file).getroot()
        size = tuple(round(float(root.findtext(f"size/{side}", ""))) for side in ("width", "height"))
        boxes = [
            _Row(
                tuple(float(element.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")),
                element.findtext("name"),
                (size[0], size[1]),
            )
            for element in root.iter("object")
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise NoBoxesError("its file is no annotation") from error
    except OSError as error:
        raise NoBoxesError("its file cannot be read") from error
    return _join(boxes)


def _join(rows: list[_Row]) -> ImageBoxes:
    """Return the boxes of an image from its rows.

    Raises NoBoxesError where there are none, a box has no area, or the image's size makes no sense.
    """
    if not rows:
        raise NoBoxesError("it has no object")
    boxes = np.array([row.sides for row in rows], np.float64)
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise NoBoxesError("a box has no area")
    sizes = {row.size for row in rows}
    if len(sizes) > 1 or any(size is not None and min(size) < 1 for size in sizes):
        raise NoBoxesError("the size of the image is below 1 px or given differently")
    return ImageBoxes(boxes, tuple(row.name for row in rows), sizes.pop())


def _table(text: str, name: str) -> Iterator[tuple[str, _Row]]:
    """Yield the image's path and the row for each box of a table (CSV).

    Raises ShapebiasError where it is no table of boxes, and csv.Error. `name` is the table's name for messages.
    """
    rows = csv.reader(text.removeprefix("\ufeff").splitlines(), delimiter=_delimiter(text))
    columns = [plain_column(cell) for cell in next(rows, [])]
    path_at = next((columns.index(column) for column in PATH_COLUMNS if column in columns), None)
    if path_at is not None and _STRINGS in columns:
        for cells in rows:
            yield from _boxes_in_a_cell(cells, path_at, columns.index(_STRINGS), name)
        return
    sides = _side_columns(columns)
    if path_at is None or sides is None:
        has = printable(", ".join(columns), 80)
        raise ShapebiasError(f"{printable(name)} has the columns {has}: call them path, left, top, right, bottom")
    label_at = next((columns.index(column) for column in LABEL_COLUMNS if column in columns), None)
    sizes = [next((columns.index(column) for column in names if column in columns), None) for names in _SIZE]
    for number, cells in enumerate(rows, 2):
        if not cells:
            continue
        try:
            box = tuple(float(cells[column]) for column in sides)
            size = [round(float(cells[column])) for column in sizes if column is not None]
            label = None if label_at is None else cells[label_at].strip() or None
            yield cells[path_at].strip(), _Row(box, label, (size[0], size[1]) if len(size) == 2 else None)
        except (IndexError, ValueError) as error:
            raise ShapebiasError(f"{printable(name)}: line {number} has no box") from error


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _side_columns(columns: list[str]) -> list[int] | None:
    """Return the indices of the columns of left, top, right and bottom; None where one is missing.

    columns: their names, as `plain_column` returns them.
    """
    chosen: list[int] = []
    for names in _SIDES:
        free = (columns.index(name) for name in names if name in columns and columns.index(name) not in chosen)
        column = next(free, None)
        if column is None:
            return None
        chosen.append(column)
    return chosen


def _boxes_in_a_cell(cells: list[str], path_at: int, boxes_at: int, name: str) -> Iterator[tuple[str, _Row]]:
    """Yield the image's path and the row for each box in a line of Kaggle's table, with the two cells at these indices.

    Raises ShapebiasError where they have no boxes. `name` is the table's name for messages.
    """
    if not cells:
        return
    try:
        words = cells[boxes_at].split()
        for start in range(0, len(words), 5):
            label, *sides = words[start : start + 5]
            left, top, right, bottom = map(float, sides)
            yield cells[path_at].strip(), _Row((left, top, right, bottom), label, None)
    except (IndexError, ValueError) as error:
        raise ShapebiasError(f"{printable(name)}: {printable(cells[0], 60)} has no box") from error
