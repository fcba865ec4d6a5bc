"""The units that are displayed with their images: marked ones, and for each layer those with the largest and smallest
values of metrics, detectors and twins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shapebias.core.analysis.twins import Correlator
from shapebias.core.concepts import DETECTOR
from shapebias.core.metrics import METRICS
from shapebias.core.report.finding import name_of, number
from shapebias.core.report.scope import Scope
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.core.units.filter import select_units
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import UnitTable, load_units

_MOST_CATEGORIES = 8


@dataclass(frozen=True, kw_only=True)
class Card:
    """A unit, the text below its images, and the user's note on a marked unit."""

    unit: Unit
    facts: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Units with something in common, under a title: a row for each model, or rows of a unit and its twin."""

    title: str
    rows: Sequence[Sequence[Card]]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The shelves of a layer, or of the marked units. `key` is its id in the page; `note` says how many units are left
    out.
    """

    key: str
    title: str
    shelves: Sequence[Shelf]
    note: str = ""


def marked(scope: Scope) -> Gallery | None:
    """Return the units of the store that the user marked, with their notes, up to a limit; None where there are none.

    Raises ShapebiasError where the marks cannot be read, and StoreError for a damaged store.
    """
    marks = Marks(scope.store)
    marks.load()
    units = marks.units()
    if not units:
        return None
    most = 12 if scope.light else 60
    cards = [
        Card(
            unit=unit,
            facts=unit_facts(load_units(scope.store, unit.model, unit.layer), unit.index),
            note=marks.note(unit),
        )
        for unit in units[:most]
    ]
    more = len(units) - len(cards)
    note = f"{more:,} more are marked: shapebias marks STORE lists them." if more else ""
    return Gallery(key="marked", title="Marked units", shelves=[Shelf(title="", rows=[cards])], note=note)


def unit_facts(table: UnitTable, row: int) -> str:
    """Return the most important numbers of the unit in a row of `table`, as text."""
    names = [name for name in ("smoothness", "class_diversity") if name in table.columns]
    parts = [f"{METRICS[name].in_words} {METRICS[name].format(table.cell(name, row))}" for name in names]
    return ", ".join([*parts, *_concept(table, row)])


def _concept(table: UnitTable, row: int) -> list[str]:
    """Return the concept that the unit in a row detects, with its IoU, as the only item; empty for one that is no
    detector.
    """
    if "iou" not in table.columns or not table.columns["iou"][row] >= DETECTOR:
        return []
    return [f"{printable(str(table.cell('concept', row)), 30)} (IoU {number('iou', float(table.columns['iou'][row]))})"]


def galleries(scope: Scope) -> Iterator[Gallery]:
    """Yield the gallery of each layer, or of some where there are many. Raises StoreError for a damaged store."""
    correlator = Correlator(scope.store)
    for layer in scope.gallery_layers:
        yield layer_gallery(scope, layer, correlator)


def layer_gallery(scope: Scope, layer: str, correlator: Correlator) -> Gallery:
    """Return the units of a layer at the ends of the metrics, its detectors, and twins of these."""
    tables = [load_units(scope.store, model, layer) for model in scope.models if layer in scope.store.layers(model)]
    shelves = [*_extreme_shelves(scope, tables), *_detectors(scope, tables)]
    twins = _twins(scope, correlator, layer, [card.unit for shelf in shelves for row in shelf.rows for card in row])
    units = f"{' and '.join(f'{len(table):,} units of {name_of(table.layers[0][0])}' for table in tables)}"
    displayed = {card.unit for shelf in [*shelves, *twins] for row in shelf.rows for card in row}
    left_out = sum(map(len, tables)) - len(displayed)
    note = (
        f"{len(displayed)} of {units}; the other {left_out:,} are in the store: shapebias explore."
        if left_out > 0
        else ""
    )
    return Gallery(
        key=f"layer-{scope.layers.index(layer)}", title=name_of(layer), shelves=[*shelves, *twins], note=note
    )


def _extreme_shelves(scope: Scope, tables: Sequence[UnitTable]) -> Iterator[Shelf]:
    """Yield shelves of the units with the largest and with the smallest smoothness and diversity.

    `tables` have the units of one layer, a table for each model.
    """
    diversity = "class_diversity" if any(map(_differs_in_classes, tables)) else "visual_diversity"
    for metric, low, high in (("smoothness", "Roughest", "Smoothest"), (diversity, "Least diverse", "Most diverse")):
        for title, ascending in ((high, False), (low, True)):
            rows = [_first_cards(scope, table, metric, ascending) for table in tables]
            if any(rows):
                yield Shelf(title=title, rows=rows)


def _differs_in_classes(table: UnitTable) -> bool:
    """Return whether units differ in class diversity; they cannot where nearly every image has a class of its own."""
    diversity = table.columns.get("class_diversity", np.zeros(0))
    return len(np.unique(diversity[np.isfinite(diversity)])) > 1


def _first_cards(scope: Scope, table: UnitTable, metric: str, ascending: bool) -> list[Card]:
    if metric not in table.columns:
        return []
    living = select_units(table, f"max > 0 and {metric} >= 0", metric, ascending).first(2 if scope.light else 3)
    return [
        Card(
            unit=living.unit(row),
            facts=f"{METRICS[metric].in_words} {number(metric, float(living.columns[metric][row]))}",
        )
        for row in range(len(living))
    ]


def _detectors(scope: Scope, tables: Sequence[UnitTable]) -> Iterator[Shelf]:
    """Yield for each category, up to a limit, a shelf of its strongest detectors; `tables` as in `_ends`."""
    categories = dict.fromkeys(
        category
        for table in tables
        if "iou" in table.columns
        for category in table.columns["concept_category"]
        if category
    )
    for category in list(categories)[:_MOST_CATEGORIES]:
        rows = []
        for table in tables:
            if "iou" not in table.columns:
                continue
            is_detector = (table.columns["concept_category"] == category) & (table.columns["iou"] >= DETECTOR)
            detecting = select_units(table.take(np.flatnonzero(is_detector)), None, "iou").first(
                1 if scope.light else 3
            )
            rows.append(
                [
                    Card(unit=detecting.unit(row), facts=", ".join(_concept(detecting, row)))
                    for row in range(len(detecting))
                ]
            )
        if any(rows):
            yield Shelf(title=f"Detectors: {name_of(category)}", rows=rows)


def _twins(scope: Scope, correlator: Correlator, layer: str, units: Sequence[Unit]) -> list[Shelf]:
    """Return the shelf of those of `units` (on other shelves of the layer) of the pair's first model that have the best
    twins in the second, each beside its twin; nothing where there are no twins.
    """
    if scope.pair is None or layer not in scope.shared or not correlator.comparable(*scope.pair):
        return []
    first, second = scope.pair
    if not all(scope.store.layer_has(model, layer, "activations/max") for model in scope.pair):
        return []
    pairs = []
    for unit in dict.fromkeys(unit for unit in units if unit.model == first):
        twin = twin_in(correlator, unit, second)
        if twin is not None:
            pairs.append((unit, *twin))
    pairs.sort(key=lambda pair: -pair[2])
    rows = [
        [Card(unit=unit, facts=""), Card(unit=twin, facts=twin_facts(correlation))]
        for unit, twin, correlation in pairs[: 2 if scope.light else 3]
    ]
    return [Shelf(title="Twins", rows=rows)] if rows else []


def twin_in(correlator: Correlator, unit: Unit, model: str) -> tuple[Unit, float] | None:
    """Return the unit of the same layer in `model` that correlates best with a unit, and the correlation; None where
    none does. Raises StoreError."""
    correlations = correlator.correlations(unit, model, unit.layer)
    if np.isnan(correlations).all():
        return None
    best = int(np.nanargmax(correlations))
    return Unit(model, unit.layer, best), float(correlations[best])


def twin_facts(correlation: float) -> str:
    """Return the text below the images of a twin."""
    return f"its twin, correlation {correlation:.3f}"
