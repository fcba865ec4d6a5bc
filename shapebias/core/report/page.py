"""A report as one HTML file that needs no other file."""

import hashlib
from base64 import b64encode
from importlib import resources
from itertools import cycle

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shapebias.core.report.galleries import Card
from shapebias.core.report.pictures import description, unit_grid
from shapebias.core.report.report import Report
from shapebias.core.report.vector import MODEL_INKS, svg_of
from shapebias.core.store.reader import Store
from shapebias.core.text import printable


def html_of(report: Report, command: str) -> str:
    """Return a report as the text of an HTML file; `command` is the command line that made it.

    Raises StoreError for a damaged store.

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
    store = report.scope.store
    return environment.get_template("page.html").render(
        report=report,
        command=command,
        script=Markup(script),
        style=Markup(style),
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        colours=dict(zip(report.scope.every_model, cycle(MODEL_INKS), strict=False)),
        figures={finding.key: _figure(report, number) for number, finding in enumerate(report.findings)},
        picture=lambda card: _picture(store, card, report.scope.light),
        describe=lambda card: description(store, card.unit),
        printable=printable,
    )


def _own_file(name: str) -> str:
    return resources.files("shapebias.core.report").joinpath("templates", name).read_text("utf-8")


def _figure(report: Report, number: int) -> Markup:
    finding = report.findings[number]
    described = f"Figure {number + 1}. {finding.caption} {' '.join(finding.sentences)}"
    return Markup(svg_of(finding.draw, finding.key, described))  # escaped as it is written


def _picture(store: Store, card: Card, light: bool) -> str:
    return f"data:image/webp;base64,{b64encode(unit_grid(store, card.unit, light)).decode('ascii')}"
