"""A report, or an excerpt, as a Markdown file and a folder of pictures beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from shapebias.core.figures.output import drawing, save_figure
from shapebias.core.files import cannot_write, write_text
from shapebias.core.pictures.tiles import View
from shapebias.core.pictures.unit_picture import unit_picture
from shapebias.core.report.excerpt import Excerpt
from shapebias.core.report.finding import ReportFinding
from shapebias.core.report.galleries import Card, Gallery
from shapebias.core.report.pictures import description
from shapebias.core.report.report import Report
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Table
from shapebias.core.text import markdown_row, markdown_text

_IMAGES, _COLUMNS = 8, 4  # images and columns of a unit's picture
_TILE, _LIGHT_TILE = 96, 56  # px
_LONG = 2000  # most characters of a sentence, a note or a caption


def write_markdown(report: Report, path: Path, command: str) -> None:
    """Write the report to the file `path`, and its pictures to a folder beside it: `report-pictures` for `report.md`.

    `command` is the command line that made it. Raises StoreError for a damaged store, and CannotWriteError.
    """
    _write(path, _lines(report, pictures_beside(path), command))


def write_excerpt_markdown(excerpt: Excerpt, path: Path) -> None:
    """Write an excerpt to `path`, its pictures to a folder named after it. Raises StoreError and CannotWriteError, and
    ShapebiasError where it has figures and matplotlib is missing.
    """
    _write(path, _excerpt_lines(excerpt, pictures_beside(path)))


def pictures_beside(path: Path) -> Path:
    """Return the folder of the pictures of a Markdown file."""
    return path.with_name(f"{path.stem}-pictures")


def _write(path: Path, lines: Iterator[str]) -> None:
    """Write the lines of a page, whose pictures are written as the lines are made."""
    pictures = pictures_beside(path)
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(pictures, error) from error
    write_text(path, "\n".join(lines) + "\n")


def _excerpt_lines(excerpt: Excerpt, pictures: Path) -> Iterator[str]:
    yield from _paragraphs(f"# {_plain(excerpt.title)}", _plain(excerpt.lead))
    for number, picture in enumerate(excerpt.pictures, 1):
        name = f"picture-{number}.png"
        _save(picture.image, pictures / name)
        yield from _paragraphs(
            f"![{_plain(picture.description)}]({pictures.name}/{name})", f"*{_plain(picture.caption)}*"
        )
    for finding in excerpt.findings:
        yield from _paragraphs(f"## {_plain(finding.title)}")
        yield from _finding(finding, pictures)
    yield from _galleries(excerpt.scope, excerpt.galleries, pictures, excerpt.view)
    for table in excerpt.tables:
        yield from _table(table)
    yield from _paragraphs("In the explorer:", _code(excerpt.command))


def _lines(report: Report, pictures: Path, command: str) -> Iterator[str]:
    yield from _paragraphs(f"# {_plain(report.title)}", _plain(report.lead), "## Findings")
    if report.claims is not None:
        yield from _table(report.claims)
    for finding in report.findings:
        yield from _paragraphs(f"### {_plain(finding.title)}")
        yield from _finding(finding, pictures)
    if report.scope.shared:
        yield from _paragraphs(f"{_plain(report.about_pairs)}.")
    yield from _measured(report, command)
    yield from _paragraphs("## Units")
    yield from _galleries(report.scope, report.galleries, pictures, View.CROP)
    yield from _paragraphs("## All numbers")
    yield from _table(report.units)


def _plain(text: str) -> str:
    return markdown_text(text, _LONG)


def _paragraphs(*texts: str) -> Iterator[str]:
    for text in texts:
        yield from (text, "")


def _finding(finding: ReportFinding, pictures: Path) -> Iterator[str]:
    yield from _paragraphs(*map(_plain, finding.sentences))
    yield from _figure(finding, pictures)
    for table in finding.tables:
        yield from _table(table)


def _figure(finding: ReportFinding, pictures: Path) -> Iterator[str]:
    name = f"{finding.key}.png"
    with drawing():
        save_figure(finding.draw(), pictures / name)
    yield from _paragraphs(f"![{_plain(finding.caption)}]({pictures.name}/{name})", f"*{_plain(finding.caption)}*")


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        return
    yield from _paragraphs(f"**{_plain(table.title)}**")
    yield markdown_row([_plain(column.title) for column in table.columns])
    yield markdown_row(["---:" if column.is_number else "---" for column in table.columns])
    for row in table.rows:
        yield markdown_row([_plain(cell) for cell in row])
    yield from _paragraphs("", *([_plain(table.note)] if table.note else []))


def _measured(report: Report, command: str) -> Iterator[str]:
    measured = report.measured
    yield from _paragraphs("## What was measured")
    for title, facts in [*measured.networks.items(), ("Images and run", measured.run)]:
        yield from _paragraphs(f"### {_plain(title)}")
        yield from (f"- {_plain(fact.name)}: {_plain(fact.value)}" for fact in facts)
        yield ""
    for name, lines in measured.commands:
        if lines:
            yield from _paragraphs(f"{_plain(name)} is made again by", _code(" \\\n".join(lines)))
    yield from _paragraphs("and this page by", _code(command))
    yield from _paragraphs(*(["### Notes of the run"] if measured.notes else []))
    yield from (f"- {_plain(note)}" for note in measured.notes)
    yield ""
    for table in measured.tables:
        yield from _table(table)


def _code(text: str) -> str:
    """Return lines of code as a code block: indented, so that no character in them can end it."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _galleries(scope: Scope, galleries: Sequence[Gallery], pictures: Path, view: View) -> Iterator[str]:
    for gallery in galleries:
        yield from _paragraphs(f"### {_plain(gallery.title)}")
        for shelf in gallery.shelves:
            yield from _paragraphs(*([f"#### {_plain(shelf.title)}"] if shelf.title else []))
            for card in (card for row in shelf.rows for card in row):
                yield from _card(scope, card, pictures, view)
        yield from _paragraphs(*([_plain(gallery.note)] if gallery.note else []))


def _card(scope: Scope, card: Card, pictures: Path, view: View) -> Iterator[str]:
    """Write a unit's picture into the folder `pictures`, and yield the lines about it: picture, name, text, note.

    Raises StoreError for a damaged store, and CannotWriteError.
    """
    models = list(scope.store.models)
    layers = list(scope.store.layers(card.unit.model))
    name = f"unit-{models.index(card.unit.model)}-{layers.index(card.unit.layer)}-{card.unit.index}.png"
    tile = _LIGHT_TILE if scope.light else _TILE
    _save(unit_picture(scope.store, card.unit, view, tile, images=_IMAGES, columns=_COLUMNS), pictures / name)
    yield from _paragraphs(
        f"![{_plain(description(scope.store, card.unit))}]({pictures.name}/{name})",
        f"{_plain(str(card.unit))} {_plain(card.facts)}".rstrip(),
        *([f"> {_plain(card.note)}"] if card.note else []),
    )


def _save(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path, "PNG", optimize=True)
    except OSError as error:
        raise cannot_write(path, error) from error
