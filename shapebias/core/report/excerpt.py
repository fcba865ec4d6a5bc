"""A part of a store as a page of its own: units, a layer, a scatter of two metrics, an image, the models."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from shapebias.core.analysis.attribution import Attributions, title_of
from shapebias.core.analysis.by_image import ImageName, OnImage, decision_text, on_image
from shapebias.core.analysis.dissection import concepts_of
from shapebias.core.analysis.twins import Correlator
from shapebias.core.metrics import METRICS
from shapebias.core.numbers import rank_text
from shapebias.core.pictures.tiles import AttributionMaps, Subject, UnitImage, View, subject_tiles
from shapebias.core.report.finding import ReportFinding, name_of
from shapebias.core.report.galleries import Card, Gallery, Shelf, layer_gallery, twin_facts, twin_in, unit_facts
from shapebias.core.report.report import BEHAVIOUR, EXPLANATIONS, findings_of, table_of
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Heading, Table, words
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import UnitTable, load_units

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 352  # px of the picture of an image
_MOST_ROWS = 300  # units in a table
_MOST_CARDS = 6  # units that fire on an image
_LONG = 200  # characters of a path


@dataclass(frozen=True, kw_only=True)
class Illustration:
    """A picture with its description, for who cannot see it, and its caption."""

    image: Image.Image
    description: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """The contents of the page, in order. `command` opens the explorer there; `view` is how units' images are drawn."""

    scope: Scope
    title: str
    lead: str
    command: str
    pictures: Sequence[Illustration] = ()
    findings: Sequence[ReportFinding] = ()
    galleries: Sequence[Gallery] = ()
    tables: Sequence[Table] = ()
    view: View = View.CROP


def units_excerpt(
    store: Store,
    units: Sequence[Unit],
    view: View,
    *,
    said: Mapping[Unit, str] | None = None,
    listed: UnitTable | None = None,
) -> Excerpt:
    """Return the page of a unit and its twins, or of several units: images, numbers, concepts, the first one's images.

    `said` is more about some of the units; `listed` are the units of a table of which they are. Raises StoreError, and
    ShapebiasError where the user's marks cannot be read.
    """
    title, said = " and ".join(printable(str(unit), 80) for unit in units[:2]), dict(said or {})
    if len(units) == 1:
        twins = dict(_twins(store, units[0]))
        units, said = [*units, *twins], said | twins
    tables = [load_units(store, unit.model, unit.layer) for unit in units]
    cards = _cards(store, units, said)
    return Excerpt(
        scope=_scope(store),
        title=title,
        lead=_about_layers(store, units),
        command=_command(store, units[0]),
        galleries=[Gallery(key="units", title="Images", shelves=[Shelf(title="", rows=[cards])])],
        tables=[
            _numbers(units, tables),
            _concepts(store, units),
            _images(store, units[0]),
            *([] if listed is None else [_listed(listed)]),
        ],
        view=view,
    )


def layer_excerpt(store: Store, layer: str) -> Excerpt:
    """Return the page of a layer in every model that has it: how metrics spread, and the units at their ends.

    Raises StoreError.
    """
    table, scope = load_units(store, None, layer), _scope(store)
    metrics = [name for name in table.columns if _differs(table, name)]
    facts = [f"{name_of(model)} {store.layers(model)[name].units:,} units" for model, name in table.layers]
    return Excerpt(
        scope=scope,
        title=f"Layer {printable(layer, 80)}",
        lead=", ".join(facts),
        command=_command(store, table.unit(0)),
        findings=[_spreads(table, metrics)] if metrics else [],
        galleries=[layer_gallery(scope, layer, Correlator(store))],
        tables=[_medians(table)],
    )


def scatter_excerpt(store: Store, table: UnitTable, names: tuple[str, str], unit: Unit, view: View) -> Excerpt:
    """Return the page of two metrics against each other, the one across first, and of the unit that is picked.

    Raises StoreError, and ShapebiasError where the user's marks cannot be read.
    """
    across, up = names

    def draw() -> "Figure":
        from shapebias.core.figures.metrics import scatter_figure

        return scatter_figure(table, across, up, unit)

    caption = f"{METRICS[up].in_words} against {METRICS[across].in_words}; a ring around {printable(str(unit), 80)}."
    return _figure_excerpt(store, unit, _figure(table, "scatter", f"{caption[0].upper()}{caption[1:]}", draw), view)


def histogram_excerpt(store: Store, table: UnitTable, metric: str, unit: Unit, view: View) -> Excerpt:
    """Return the page of how a metric spreads over the units of a table, and of the unit under the cursor.

    Raises StoreError, and ShapebiasError where the user's marks cannot be read.
    """

    def draw() -> "Figure":
        from shapebias.core.figures.metrics import histogram_figure

        return histogram_figure(table, [metric], unit)

    caption = f"How {METRICS[metric].in_words} spreads; the line is at {printable(str(unit), 80)}."
    return _figure_excerpt(store, unit, _figure(table, "histogram", caption, draw), view)


def image_excerpt(
    store: Store, image: ImageName, maps: AttributionMaps | None = None, unit_image: UnitImage | None = None
) -> Excerpt:
    """Return the page of an image: itself, what the models decide, which units fire most on it.

    With `maps` its attribution maps are shown, with `unit_image` where that unit fires on it. Raises StoreError, and
    ShapebiasError where the user's marks cannot be read.
    """
    results = on_image(store, image)
    firing = [units[0] for result in results for units in result.layers.values() if units]
    strongest = [one.unit for one in sorted(firing, key=lambda one: -one.relative)[:_MOST_CARDS]]
    cards = _cards(store, strongest, {})
    return Excerpt(
        scope=_scope(store),
        title=printable(image.path, _LONG),
        lead=printable(image.about, _LONG) or "an image without a class",
        command=_command(store, unit_image.unit if unit_image is not None else None),
        pictures=_pictures(store, image, results, maps=maps, unit_image=unit_image),
        galleries=[Gallery(key="units", title="Units that fire most on it", shelves=[Shelf(title="", rows=[cards])])]
        * bool(cards),
        tables=[_decisions(results), _firing(results)],
        view=View.MASK,
    )


def models_excerpt(store: Store) -> Excerpt:
    """Return the page of the models: what the report finds of them as a whole. Raises StoreError."""
    scope = _scope(store)
    rows = [
        [name_of(label), printable(model.architecture, 60), f"{model.parameters:,}", f"{_units(store, label):,}"]
        for label, model in store.models.items()
    ]
    columns = [words("model"), words("architecture"), Heading("weights"), Heading("units")]
    return Excerpt(
        scope=scope,
        title=" and ".join(map(name_of, store.models)),
        lead=f"{len(store.models)} models, {len(store.labels):,} images",
        command=_command(store, None),
        findings=findings_of(scope, (*BEHAVIOUR, *EXPLANATIONS)),
        tables=[Table(title="Models", columns=columns, rows=rows)],
    )


def _scope(store: Store) -> Scope:
    """Return all models; where there are two, as a pair."""
    models = list(store.models)
    return Scope(store, (models[0], models[1]) if len(models) == 2 else None)


def _command(store: Store, unit: Unit | None) -> str:
    """Return the command that opens the explorer at a unit; stores without their folders, which are the user's own."""
    names = [part.store.identity.rstrip("/").rpartition("/")[2] for part in store.parts]
    position = [] if unit is None else ["--unit", str(unit)]
    return printable(shlex.join(["shapebias", "explore", *names, *position]), 4096)


def _units(store: Store, label: str) -> int:
    return sum(layer.units for layer in store.layers(label).values())


def _about_layers(store: Store, units: Sequence[Unit]) -> str:
    """Return a line with the number of units and the map size of each layer that `units` are in."""
    layers = dict.fromkeys((unit.model, unit.layer) for unit in units)
    facts = []
    for model, name in layers:
        layer = store.layers(model)[name]
        facts.append(
            f"{name_of(model)}/{name_of(name)}: {layer.units:,} units, maps {layer.map_height} x {layer.map_width}"
        )
    return "; ".join(facts)


def _cards(store: Store, units: Sequence[Unit], said: Mapping[Unit, str]) -> list[Card]:
    marks = Marks(store)
    marks.load()
    cards = []
    for unit in units:
        facts = unit_facts(load_units(store, unit.model, unit.layer), unit.index)
        cards.append(Card(unit=unit, facts=", ".join(filter(None, (said.get(unit, ""), facts))), note=marks.note(unit)))
    return cards


def _twins(store: Store, unit: Unit) -> Iterator[tuple[Unit, str]]:
    """Yield the twin of a unit in each other model that has its layer, and the text about it."""
    correlator = Correlator(store)
    for model in store.models:
        if model == unit.model or unit.layer not in store.layers(model) or not correlator.comparable(unit.model, model):
            continue
        if all(store.layer_has(label, unit.layer, "activations/max") for label in (unit.model, model)):
            twin = twin_in(correlator, unit, model)
            if twin is not None:
                yield twin[0], twin_facts(twin[1])


def _numbers(units: Sequence[Unit], tables: Sequence[UnitTable]) -> Table:
    """Return a row for each metric: the value of each unit with its rank in the layer, and what it means."""
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    rows = []
    for name in names:
        cells = [_ranked(table, name, unit.index) for unit, table in zip(units, tables, strict=True)]
        rows.append([METRICS[name].in_words, *cells, f"{METRICS[name].low} … {METRICS[name].high}"])
    columns = [words("metric", filtered=False), *(Heading(printable(str(unit), 60)) for unit in units)]
    return Table(title="Numbers", columns=[*columns, words("from … to", filtered=False)], rows=rows)


def _ranked(table: UnitTable, name: str, index: int) -> str:
    if name not in table.columns:
        return "–"
    row = int((table.index == index).argmax())
    value = table.cell(name, row)
    rank = "" if isinstance(value, str) else rank_text(np.asarray(table.columns[name], np.float64), row)
    return printable(METRICS[name].format(value)) + (f" ({rank})" if rank else "")


def _concepts(store: Store, units: Sequence[Unit]) -> Table:
    rows = [
        [printable(str(unit), 80), printable(name, 60), printable(category, 24), f"{iou:.3f}"]
        for unit in units
        for name, category, iou in concepts_of(store, unit)
    ]
    columns = [words("unit"), words("concept", filtered=False), words("category"), Heading("IoU")]
    return Table(title="Concepts", columns=columns, rows=rows)


def _images(store: Store, unit: Unit) -> Table:
    top = store.top(unit)
    rows = [
        [f"{value:.4g}", f"{y}, {x}", printable(store.class_of(image), 60), printable(store.image_name(image), _LONG)]
        for value, image, (y, x) in zip(top.value.tolist(), top.image.tolist(), top.position.tolist(), strict=True)
    ]
    columns = [Heading("activation"), Heading("y, x"), words("class"), words("image", filtered=False)]
    return Table(title=f"Strongest images of {printable(str(unit), 80)}", columns=columns, rows=rows)


def _listed(table: UnitTable) -> Table:
    """Return the first units of a table."""
    more = len(table) - _MOST_ROWS
    note = f"{more:,} more are in the table: e in the explorer saves them all." if more > 0 else ""
    return table_of([table.first(_MOST_ROWS)], "The table, as it was sorted and filtered", note)


def _differs(table: UnitTable, name: str) -> bool:
    """Return whether a column holds numbers that differ."""
    if METRICS[name].is_text:
        return False
    known = table.columns[name][np.isfinite(table.columns[name])]
    return len(known) > 1 and bool((known != known[0]).any())


def _spreads(table: UnitTable, metrics: Sequence[str]) -> ReportFinding:
    def draw() -> "Figure":
        from shapebias.core.figures.metrics import histogram_figure

        return histogram_figure(table, metrics)

    return _figure(table, "spreads", "How each metric spreads over the units of the layer.", draw)


def _figure(table: UnitTable, key: str, caption: str, draw: "Callable[[], Figure]") -> ReportFinding:
    layers = [f"{name_of(model)}/{name_of(layer)}" for model, layer in table.layers]
    over = ", ".join(layers) if len(layers) <= 4 else f"{len(layers)} layers"
    return ReportFinding(
        key=key, title="Metrics", sentences=[f"{len(table):,} units of {over}."], draw=draw, caption=caption
    )


def _figure_excerpt(store: Store, unit: Unit, finding: ReportFinding, view: View) -> Excerpt:
    """Return the page of a figure and of the unit that is marked in it."""
    below = units_excerpt(store, [unit], view)
    title = finding.caption.partition(";")[0]
    return Excerpt(
        scope=below.scope,
        title=title,
        lead=finding.sentences[0],
        command=below.command,
        findings=[finding],
        galleries=below.galleries,
        tables=below.tables[:2],
        view=view,
    )


def _medians(table: UnitTable) -> Table:
    """Return a row for each metric, and the median over the living units of each model."""
    rows = []
    alive = table.columns["max"] > 0 if "max" in table.columns else np.ones(len(table), bool)
    for name in table.columns:
        if METRICS[name].is_text:
            continue
        cells = []
        for position, _ in enumerate(table.layers):
            values = table.columns[name][alive & (table.layer == position)]
            known = values[np.isfinite(values)]
            cells.append(METRICS[name].format(float(np.median(known))) if len(known) else "–")
        rows.append([METRICS[name].in_words, *cells, f"{METRICS[name].low} … {METRICS[name].high}"])
    columns = [words("metric", filtered=False), *(Heading(name_of(model)) for model, _ in table.layers)]
    columns.append(words("from … to", filtered=False))
    return Table(title="Median over the living units", columns=columns, rows=rows)


def _pictures(
    store: Store,
    image: ImageName,
    results: Sequence[OnImage],
    *,
    maps: AttributionMaps | None,
    unit_image: UnitImage | None,
) -> list[Illustration]:
    """Return the image with its attribution maps, or with the activation map of a unit, or alone."""
    if maps is not None:
        attributions = Attributions(store)
        captions = ["the image"]
        for photo in maps.photos:
            one = attributions.map_of(photo, maps.method)
            explained = f"{one.output}, probability {one.probability:.3f}" if one.output else ""
            told = filter(None, (f"{photo.model}: {title_of(maps.method)}", explained, one.remark))
            captions.append(printable(", ".join(told), _LONG))
        subject: Subject | None = maps
    elif unit_image is not None:
        captions = ["the image", f"where {printable(str(unit_image.unit), 80)} fires; the line is around a > q995"]
        subject = unit_image
    else:
        captions = ["the image"]
        subject = next((result.photo for result in results if result.photo is not None), None)
    tiles = [] if subject is None else subject_tiles(store, subject, len(captions), _SIDE, View.WHOLE)
    name = printable(image.path, _LONG)
    return [
        Illustration(
            image=tile,
            description=f"The image {name}" if not number else f"The image {name}: {caption}",
            caption=caption,
        )
        for number, (tile, caption) in enumerate(zip(tiles, captions, strict=False))
    ]


def _decisions(results: Sequence[OnImage]) -> Table:
    rows = [
        [name_of(result.model), decision_text(result.decision) if result.decision else "–", "; ".join(result.missing)]
        for result in results
    ]
    columns = [words("model", filtered=False), words("decides for", filtered=False), words("missing", filtered=False)]
    return Table(title="Decisions", columns=columns, rows=rows)


def _firing(results: Sequence[OnImage]) -> Table:
    rows = [
        [printable(str(one.unit), 80), name_of(one.unit.layer), f"{one.activation:.4g}", f"{one.relative:.3f}"]
        for result in results
        for units in result.layers.values()
        for one in units
    ]
    columns = [words("unit", filtered=False), words("layer"), Heading("activation"), Heading("of its max")]
    return Table(title="What fires on it, the strongest five of each layer", columns=columns, rows=rows)
