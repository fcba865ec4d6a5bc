"""All that the store knows of one unit, to read: numbers with their rank and meaning, concepts, images."""

from typing import ClassVar

import numpy as np
from rich.table import Table
from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from shapebias.core.analysis.chance import chance_text, class_diversity_by_chance
from shapebias.core.analysis.dissection import concepts_of
from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text, rank_text
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.table import UnitTable
from shapebias.tui.screens.reading import ReadingScreen, reading_keys
from shapebias.tui.session import Session


class DetailsScreen(ReadingScreen):
    """Everything about one unit."""

    BINDINGS: ClassVar[list[BindingType]] = reading_keys("d")

    def __init__(self, session: Session, unit: Unit) -> None:
        """Read the unit's layer. Raises StoreError."""
        super().__init__()
        self._store, self.unit, self.heading = session.store, unit, str(unit)
        self._table = session.load((unit.model, unit.layer))
        self._chance = class_diversity_by_chance(session.store, unit.model, unit.layer)

    def parts(self) -> list[Widget]:
        return [
            Static(metrics_table(self._table, self.unit, self._chance), id="metrics"),
            Static(concepts_table(self._store, self.unit), id="concepts"),
            Static(images_table(self._store, self.unit), id="images"),
        ]


def metrics_table(table: UnitTable, unit: Unit, chance: tuple[int, float] | None = None) -> Table:
    """Return a table with a row for every metric of a unit of `table`, a layer's: value, rank from the top, meaning.

    `chance` is the result of `class_diversity_by_chance`, which stands beside the class diversity.
    """
    row = int((table.index == unit.index).argmax())
    grid = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_column(ratio=1)
    for name, values in table.columns.items():
        metric = METRICS[name]
        value = table.cell(name, row)
        meaning = Text(f"{metric.low} … {metric.high}").append(f"\n{metric.formula}", style="dim")
        if name == "class_diversity" and chance is not None:
            meaning.append(f"\n{chance_text(chance)}", style="dim")
        rank = "" if isinstance(value, str) else rank_text(np.asarray(values, np.float64), row)
        written = metric.format(value) if isinstance(value, str) else number_text(value)
        grid.add_row(Text(metric.title, style="bold"), written, Text(rank, style="dim"), meaning)
    return grid


def concepts_table(store: Store, unit: Unit) -> Table:
    """Return a table with a row for the unit's best concept of each category; no rows where it was not dissected.

    Raises StoreError.
    """
    concepts = concepts_of(store, unit)
    grid = Table.grid(padding=(0, 2))
    if concepts:
        grid.add_row("", "", "")
        grid.add_row(Text("concept", style="bold"), Text("IoU", style="bold"), Text("category", style="bold"))
    for name, category, iou in concepts:
        grid.add_row(printable(name, 40), number_text(iou), printable(category, 24))
    return grid


def images_table(store: Store, unit: Unit) -> Table:
    """Return a table with a row for each top image, strongest first: value, position of the maximum, class, path.

    Raises StoreError.
    """
    top = store.top(unit)
    grid = Table.grid(padding=(0, 2))
    grid.add_row("", "", "", "")
    grid.add_row(*(Text(title, style="bold") for title in ("value", "y, x", "class", "image")))
    for value, image, (y, x) in zip(top.value.tolist(), top.image.tolist(), top.position.tolist(), strict=True):
        grid.add_row(
            number_text(value),
            f"{y}, {x}",
            printable(store.class_of(image), 30),
            printable(store.image_name(image), 200),
        )
    return grid
