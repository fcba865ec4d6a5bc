"""All that the store knows of one unit, to read: numbers with their rank and meaning, concepts, images."""

from typing import ClassVar

import numpy as np
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from shapebias.core.analysis.dissection import concepts_of
from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.table import UnitTable


class DetailsScreen(Screen[None]):
    """Scrolls; `table` is of the unit's layer."""

    DEFAULT_CSS = "DetailsScreen > VerticalScroll { padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,d,enter", "app.pop_screen", "Back"),
        Binding("j", "scroll(1)", "Down"),
        Binding("k", "scroll(-1)", "Up"),
    ]

    def __init__(self, store: Store, unit: Unit, table: UnitTable) -> None:
        super().__init__()
        self._store, self._unit, self._table = store, unit, table

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(printable(str(self._unit), 100), style="bold"))
            yield Static(metrics_table(self._table, self._unit), id="metrics")
            yield Static(concepts_table(self._store, self._unit), id="concepts")
            yield Static(images_table(self._store, self._unit), id="images")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=3 * rows, animate=False)


def metrics_table(table: UnitTable, unit: Unit) -> Table:
    """Every metric: its value, its rank in the layer from the top, what it means."""
    row = int((table.index == unit.index).argmax())
    grid = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_column(ratio=1)
    for name, values in table.columns.items():
        metric = METRICS[name]
        value = table.cell(name, row)
        meaning = Text(metric.formula).append(f"\n{metric.low} … {metric.high}", style="dim")
        place = "" if isinstance(value, str) else rank(np.asarray(values, np.float64), row)
        grid.add_row(Text(metric.title, style="bold"), metric.format(value), Text(place, style="dim"), meaning)
    return grid


def rank(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", row: int) -> str:
    """The place of values[row] from the largest, equal ones sharing theirs; empty where it has no value."""
    known = values[~np.isnan(values)]
    if np.isnan(values[row]):
        return ""
    return f"{int((known > values[row]).sum()) + 1} of {len(known)}"


def concepts_table(store: Store, unit: Unit) -> Table:
    """The best concept of each category; nothing where nothing was dissected."""
    found = concepts_of(store, unit)
    grid = Table.grid(padding=(0, 2))
    if found:
        grid.add_row("", "", "")
        grid.add_row(Text("concept", style="bold"), Text("IoU", style="bold"), Text("category", style="bold"))
    for name, category, iou in found:
        grid.add_row(printable(name, 40), f"{iou:.3f}", printable(category, 24))
    return grid


def images_table(store: Store, unit: Unit) -> Table:
    """The top images, strongest first: value, where the maximum is in the map, class, path."""
    top = store.top(unit)
    grid = Table.grid(padding=(0, 2))
    grid.add_row("", "", "", "")
    grid.add_row(*(Text(title, style="bold") for title in ("value", "y, x", "class", "image")))
    for value, image, (y, x) in zip(top.value.tolist(), top.image.tolist(), top.position.tolist(), strict=True):
        grid.add_row(
            f"{value:.4g}", f"{y}, {x}", printable(store.class_of(image), 30), printable(store.image_name(image), 200)
        )
    return grid
