"""Collects the contents of a report, before it becomes a page."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shapebias.core.analysis.comparison import ONE_NETWORK
from shapebias.core.analysis.criteria import pairs_of
from shapebias.core.metrics import METRICS
from shapebias.core.paper import DEMO_PAIR, PHOTO_PAIR
from shapebias.core.paper.claims import claims_of
from shapebias.core.report import behaviour, explanations, units
from shapebias.core.report.finding import ReportFinding, name_of
from shapebias.core.report.galleries import Gallery, galleries, marked
from shapebias.core.report.measured import Measured, measured
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Heading, Table, words
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.core.units.table import UnitTable, load_units

BEHAVIOUR = (behaviour.shape_bias, behaviour.accuracy, behaviour.out_of_distribution, behaviour.strength)
EXPLANATIONS = (explanations.attribution, explanations.three_criteria)
SUBJECTS = (  # the subjects in the order of the page
    *BEHAVIOUR,
    *(units.smoothness, units.filters, units.noise, units.diversity, units.sensitivity),
    *(units.detectors, units.ablation),
    *EXPLANATIONS,
)
_MOST_UNITS, _MOST_UNITS_LIGHT = 2000, 400  # largest number of rows in the table of units
_WORDS = ("concept", "concept_category")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The contents of a page.

    lead:         a line on how much was measured, and when
    about_pairs:  a sentence on what a comparison of only two networks can say
    claims:       the paper's claims beside what was measured; None where the pair is none that they are about
    units:        the table of all numbers
    """

    scope: Scope
    title: str
    lead: str
    about_pairs: str
    claims: Table | None
    findings: list[ReportFinding]
    measured: Measured
    galleries: list[Gallery]
    units: Table


def report_of(scope: Scope) -> Report:
    """Return the report of a store. Raises StoreError for a damaged store, and ShapebiasError where the user's marks
    cannot be read.
    """
    marked_gallery = marked(scope)
    all_galleries = [*([] if marked_gallery is None else [marked_gallery]), *galleries(scope)]
    return Report(
        scope=scope,
        title=" and ".join(map(name_of, scope.models)),
        lead=_lead_text(scope),
        about_pairs=ONE_NETWORK,
        claims=_claims(scope),
        findings=findings_of(scope, SUBJECTS),
        measured=measured(scope),
        galleries=all_galleries,
        units=_unit_table(scope, set(_units_in(all_galleries))),
    )


def findings_of(scope: Scope, subjects: Sequence[Callable[[Scope], ReportFinding | None]]) -> list[ReportFinding]:
    """Return what is known of each subject. Raises StoreError."""
    return [finding for subject in subjects if (finding := subject(scope)) is not None]


def _lead_text(scope: Scope) -> str:
    """Return a line on how much was measured, and when."""
    units = sum(layer.units for model in scope.models for layer in scope.store.layers(model).values())
    others = len(scope.store.models) - len(scope.models)
    parts = [f"{units:,} units in {len(scope.layers)} layers, {len(scope.store.labels):,} images"]
    parts += [f"{others} more models in the store"] if others else []
    return "; ".join([*parts, f"measured {printable(str(scope.store.attributes.get('created')), 40)[:10]}"])


def _claims(scope: Scope) -> Table | None:
    """Return the table of the paper's claims about robust networks, and whether the pair's second model shows them.

    None where the pair is not known to be a standard network and its robust twin: it must be a built-in pair, or have
    labels that say so.
    """
    if scope.pair is None or not scope.shared:
        return None
    sources = tuple(scope.store.models[model].source for model in scope.pair)
    if sources not in (DEMO_PAIR, PHOTO_PAIR) and scope.pair not in pairs_of(scope.store):
        return None
    rows = [[claim.finding, claim.measured, claim.verdict] for claim in claims_of(scope.store, *scope.pair)]
    columns = [words(title, filtered=False) for title in ("A robust network …", "here", "that is")]
    title = f"What Chen, Agarwal & Nguyen 2020 found of robust networks, and what {name_of(scope.pair[1])} shows"
    return Table(title=title, columns=columns, rows=rows) if rows else None


def _units_in(all_galleries: list[Gallery]) -> Iterator[Unit]:
    for gallery in all_galleries:
        for shelf in gallery.shelves:
            for row in shelf.rows:
                yield from (card.unit for card in row)


def _unit_table(scope: Scope, kept: set[Unit]) -> Table:
    """Return a table of all units of the models with their metrics; where these are too many, only of the units in
    `kept`, those of the galleries.
    """
    tables = [load_units(scope.store, model) for model in scope.models]
    total = sum(map(len, tables))
    if total <= (_MOST_UNITS_LIGHT if scope.light else _MOST_UNITS):
        return table_of(tables, "Units")
    known = [
        table.take(np.array([row for row in range(len(table)) if table.unit(row) in kept], np.int64))
        for table in tables
    ]
    note = f"The units of the galleries, of {total:,}. All of them: shapebias units STORE --format csv."
    return table_of(known, "Units", note)


def table_of(tables: Sequence[UnitTable], title: str, note: str = "") -> Table:
    """Return the units of several tables with all their metrics."""
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    rows = [_row(table, row, names) for table in tables for row in range(len(table))]
    columns = [words("model"), words("layer"), Heading("unit")]
    for name in names:
        metric = METRICS[name]
        hint = f"{metric.formula}. Small: {metric.low}. Large: {metric.high}."
        columns.append(Heading(metric.title, hint, not metric.is_text, filtered=name == "concept_category"))
    return Table(title=title, columns=columns, rows=rows, note=note)


def _row(table: UnitTable, row: int, names: list[str]) -> list[str]:
    unit = table.unit(row)
    cells = [METRICS[name].format(table.cell(name, row)) if name in table.columns else "–" for name in names]
    return [name_of(unit.model), name_of(unit.layer), str(unit.index), *cells]
