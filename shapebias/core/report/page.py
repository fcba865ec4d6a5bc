"""A report, or an excerpt, as one HTML file that needs no other file."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from importlib import resources
from itertools import cycle
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shapebias.core.pictures.tiles import View
from shapebias.core.report.excerpt import Excerpt
from shapebias.core.report.finding import ReportFinding
from shapebias.core.report.galleries import Card
from shapebias.core.report.pictures import LARGE, LIGHT, USUAL, Grid, description, encoded, unit_grid
from shapebias.core.report.report import Report
from shapebias.core.report.scope import Scope
from shapebias.core.report.vector import MODEL_INKS, svg_of
from shapebias.core.text import printable


def html_of(report: Report, command: str) -> str:
    """Return a report as the text of an HTML file; `command` is the command line that made it.

    Raises StoreError for a damaged store."""
    grid = LIGHT if report.scope.light else USUAL
    return _rendered(
        "page.html",
        report.scope,
        report.findings,
        title=report.title,
        report=report,
        command=command,
        picture=lambda card: _picture(report.scope, card, View.CROP, grid),
    )


def excerpt_html(excerpt: Excerpt) -> str:
    """Return the page of an excerpt. Raises StoreError, and ShapebiasError where it has figures and matplotlib is
    missing.
    """
    return _rendered(
        "excerpt.html",
        excerpt.scope,
        excerpt.findings,
        title=excerpt.title,
        excerpt=excerpt,
        picture=lambda card: _picture(excerpt.scope, card, excerpt.view, LARGE),
        encoded=lambda picture: _as_data(encoded(picture.image)),
    )


def _rendered(template: str, scope: Scope, findings: Sequence[ReportFinding], **contents: Any) -> str:
    """Return a page by a template.

    All text of a store is escaped, and only the page's own script may run: its digest is in the content security
    policy.
    """
    environment = Environment(
        loader=PackageLoader("shapebias.core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = (_own_file(name) for name in ("page.js", "page.css"))
    digest = b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template(template).render(
        script=Markup(script),
        style=Markup(style),
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        colours=dict(zip(scope.every_model, cycle(MODEL_INKS), strict=False)),
        figures={finding.key: _figure(finding, number) for number, finding in enumerate(findings, 1)},
        describe=lambda card: description(scope.store, card.unit),
        printable=printable,
        **contents,
    )


def _own_file(name: str) -> str:
    return resources.files("shapebias.core.report").joinpath("templates", name).read_text("utf-8")


def _figure(finding: ReportFinding, number: int) -> Markup:
    described = f"Figure {number}. {finding.caption} {' '.join(finding.sentences)}"
    return Markup(svg_of(finding.draw, finding.key, described))  # escaped as it is written


def _picture(scope: Scope, card: Card, view: View, grid: Grid) -> str:
    return _as_data(unit_grid(scope.store, card.unit, view, grid))


def _as_data(webp: bytes) -> str:
    return f"data:image/webp;base64,{b64encode(webp).decode('ascii')}"
