"""The page: whole in itself, of a size that can be sent, with what is marked, and saying what it leaves out."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from shapebias.core.metrics import METRICS
from shapebias.core.report.galleries import Gallery, galleries, marked
from shapebias.core.report.markdown import write_markdown
from shapebias.core.report.page import html_of
from shapebias.core.report.pictures import LIGHT, unit_grid
from shapebias.core.report.report import report_of
from shapebias.core.report.scope import Scope, scope_of
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from shapebias.core.units.marks import Marks

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Elements(HTMLParser):
    """Collects start tags with their attributes, and checks that elements end in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.opened if name == tag]


@pytest.fixture(scope="module")
def page(two_networks: Path) -> str:
    return html_of(report_of(scope_of(open_store(two_networks), None, light=False)), "shapebias report")


def test_nothing_is_fetched_and_every_link_leads_somewhere(page: str) -> None:
    elements = Elements(page)
    ids = [attributes["id"] for _, attributes in elements.opened if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in elements.opened:
        for name in ("src", "href", "xlink:href"):
            if name in attributes:
                target = attributes[name]
                assert target.startswith(("data:", "#")), (tag, target)
                assert not target.startswith("#") or target[1:] in ids
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)


def test_every_picture_is_described(page: str) -> None:
    elements = Elements(page)
    assert all(image["alt"].startswith("The ") for image in elements.all("img"))
    assert len(elements.all("img")) > 20
    figures = elements.all("svg")
    assert len(figures) > 8
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 60 for svg in figures)


def test_light_is_smaller(scope: Scope) -> None:
    light = replace(scope, light=True)
    whole, few = ([*galleries(one)] for one in (scope, light))
    assert cards(few) < 0.75 * cards(whole)
    unit = Unit("R", "block2", 3)
    assert len(unit_grid(scope.store, unit, grid=LIGHT)) < 0.6 * len(unit_grid(scope.store, unit))


def cards(galleries: list[Gallery]) -> int:
    return sum(len(row) for gallery in galleries for shelf in gallery.shelves for row in shelf.rows)


def test_marked_units_with_their_notes(scope: Scope) -> None:
    assert marked(scope) is None
    marks = Marks(scope.store)
    marks.load()
    marks.set(Unit("R", "block2", 3), "why so rough?")
    marks.set(Unit("Tiny", "block1", 9))
    own = marked(scope)
    assert own is not None
    assert [(str(card.unit), card.note) for card in own.shelves[0].rows[0]] == [
        ("Tiny/block1/9", ""),
        ("R/block2/3", "why so rough?"),
    ]
    smooth = METRICS["smoothness"].format(float(scope.store.metric("R", "block2", "smoothness")[3]))
    assert f"smoothness {smooth}" in own.shelves[0].rows[0][1].facts


def test_galleries_show_the_ends_of_a_metric(scope: Scope) -> None:
    gallery = next(gallery for gallery in galleries(scope) if gallery.title == "block2")
    shelves = {shelf.title: shelf for shelf in gallery.shelves}
    for model, row in zip(("Tiny", "R"), shelves["Smoothest"].rows, strict=True):
        values = scope.store.metric(model, "block2", "smoothness").copy()
        values[scope.store.metric(model, "block2", "max") <= 0] = -1
        assert [card.unit for card in row] == [Unit(model, "block2", int(unit)) for unit in (-values).argsort()[:3]]
    assert "are in the store" in gallery.note


def test_of_many_layers_some_are_shown(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapebias.core.report.scope._MOST_LAYERS", 2)
    report = report_of(scope)
    assert [gallery.title for gallery in report.galleries] == ["block1", "block3"]
    noise = next(finding for finding in report.findings if finding.key == "noise")
    assert "Of 3 layers 2 are shown, evenly spread; 1 are left out." in noise.caption


def test_of_many_units_those_of_the_galleries_are_in_the_table(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapebias.core.report.report._MOST_UNITS", 100)
    table = report_of(scope).units
    assert len(table.rows) < 140
    assert "of 140" in table.note


def test_names_with_markup_are_text(hostile_page: Path) -> None:
    text = hostile_page.read_text("utf-8")
    elements = Elements(text)
    assert len(elements.all("script")) == len(elements.all("title")) == len(elements.all("style")) == 1
    assert not [attributes for _, attributes in elements.opened if any(name.startswith("on") for name in attributes)]
    assert text.count("&lt;img src=x onerror=") > 20


def test_markdown_with_pictures(hostile_store: Path, tmp_path: Path) -> None:
    store = open_store(hostile_store)
    path = tmp_path / "out" / "report.md"
    write_markdown(report_of(scope_of(store, None, light=True)), path, "shapebias report")
    text = path.read_text("utf-8")
    outside_code = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert not re.search(r"(?<!\\)<", outside_code)  # no element, escaped ones only
    linked = set(re.findall(r"\]\(([^)\\]*)\)", text))
    written = {f"report-pictures/{file.name}" for file in (tmp_path / "out" / "report-pictures").iterdir()}
    assert linked == written
    assert len(written) > 10
