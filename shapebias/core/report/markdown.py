"""A report as a Markdown file and a folder of pictures beside it."""

from collections.abc import Iterator
from pathlib import Path

from shapebias.core.figures.output import drawing, save_figure
from shapebias.core.files import cannot_write, write_text
from shapebias.core.pictures.tiles import View
from shapebias.core.pictures.unit_picture import unit_picture
from shapebias.core.report.finding import ReportFinding
from shapebias.core.report.galleries import Card, Gallery
from shapebias.core.report.pictures import description
from shapebias.core.report.report import Report
from shapebias.core.report.tables import Table
from shapebias.core.text import markdown_row, markdown_text

_IMAGES, _COLUMNS = 8, 4  # of a unit's picture
_TILE, _LIGHT_TILE = 96, 56  # px
_LONG = 2000  # characters of a sentence, a note, a caption


def write_markdown(report: Report, path: Path, command: str) -> None:
    """Write the report to the file `path`, and its pictures to a folder beside it: `report-pictures` for `report.md`.

    `command` is the command line that made it. Raises StoreError for a damaged store, and CannotWriteError.
    """
    pictures = path.with_name(f"{path.stem}-pictures")
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(pictures, error) from error
    write_text(path, "\n".join(_lines(report, pictures, command)) + "\n")


def _lines(report: Report, pictures: Path, command: str) -> Iterator[str]:
    yield from _paragraphs(f"# {_plain(report.title)}", _plain(report.lead), "## Findings")
    if report.claims is not None:
        yield from _table(report.claims)
    for finding in report.findings:
        yield from _paragraphs(f"### {_plain(finding.title)}", *map(_plain, finding.sentences))
        yield from _figure(finding, pictures)
        for table in finding.tables:
            yield from _table(table)
    if report.scope.shared:
        yield from _paragraphs(f"{_plain(report.about_pairs)}.")
    yield from _measured(report, command)
    yield from _paragraphs("## Units")
    for gallery in report.galleries:
        yield from _gallery(report, gallery, pictures)
    yield from _paragraphs("## All numbers")
    yield from _table(report.units)


def _plain(text: str) -> str:
    return markdown_text(text, _LONG)


def _paragraphs(*texts: str) -> Iterator[str]:
    for text in texts:
        yield from (text, "")


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
    known = report.measured
    yield from _paragraphs("## What was measured")
    for title, facts in [*known.networks.items(), ("Images and run", known.run)]:
        yield from _paragraphs(f"### {_plain(title)}")
        yield from (f"- {_plain(fact.name)}: {_plain(fact.value)}" for fact in facts)
        yield ""
    for name, lines in known.commands:
        if lines:
            yield from _paragraphs(f"{_plain(name)} is made again by", _code(" \\\n".join(lines)))
    yield from _paragraphs("and this page by", _code(command))
    yield from _paragraphs(*(["### Notes of the run"] if known.notes else []))
    yield from (f"- {_plain(note)}" for note in known.notes)
    yield ""
    for table in known.tables:
        yield from _table(table)


def _code(text: str) -> str:
    """Return lines of code as a code block: indented, so that no character in them can end it."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _gallery(report: Report, gallery: Gallery, pictures: Path) -> Iterator[str]:
    yield from _paragraphs(f"### {_plain(gallery.title)}")
    for shelf in gallery.shelves:
        yield from _paragraphs(*([f"#### {_plain(shelf.title)}"] if shelf.title else []))
        for card in (card for row in shelf.rows for card in row):
            yield from _card(report, card, pictures)
    yield from _paragraphs(*([_plain(gallery.note)] if gallery.note else []))


def _card(report: Report, card: Card, pictures: Path) -> Iterator[str]:
    """Write a unit's picture into the folder `pictures`, and yield the lines about it: picture, name, text, note.

    Raises StoreError for a damaged store, and CannotWriteError.
    """
    models = list(report.scope.store.models)
    layers = list(report.scope.store.layers(card.unit.model))
    name = f"unit-{models.index(card.unit.model)}-{layers.index(card.unit.layer)}-{card.unit.index}.png"
    path = pictures / name
    tile = _LIGHT_TILE if report.scope.light else _TILE
    picture = unit_picture(report.scope.store, card.unit, View.CROP, tile, images=_IMAGES, columns=_COLUMNS)
    try:
        picture.save(path, "PNG", optimize=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    yield from _paragraphs(
        f"![{_plain(description(report.scope.store, card.unit))}]({pictures.name}/{name})",
        f"{_plain(str(card.unit))} {_plain(card.facts)}".rstrip(),
        *([f"> {_plain(card.note)}"] if card.note else []),
    )
