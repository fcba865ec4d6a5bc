"""Two layers side by side, such as one of each model: two tables, each with its own sort and cursor, and two units."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Store, Unit
from shapebias.core.units.filter import FilterError, filter_mask, filter_words
from shapebias.core.units.table import UnitTable
from shapebias.tui.messages import GoTo
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.prompt import Prompt, Purpose
from shapebias.tui.widgets.unit_table import UnitTableView

_SHORT = 24  # rows below which there are only the tables


class LayerSide(Vertical):
    """The table of a layer, and below it the unit under its cursor."""

    def __init__(self, session: Session, layer: LayerKey, unit: Unit | None) -> None:
        """Begin with the cursor on `unit`, or on the first unit of the layer where it is None."""
        super().__init__()
        self._session, self.layer_key, self._first = session, layer, unit
        self.condition = ""  # the filter
        settings = session.settings
        self.units = UnitTableView(session.marks, settings.hidden, settings.widths)
        self.panel = session.new_panel()
        self.panel.follows = False

    def compose(self) -> ComposeResult:
        yield self.units
        yield self.panel

    def on_mount(self) -> None:
        self.show_layer(self.layer_key, self._first)

    def show_layer(self, layer: LayerKey, unit: Unit | None = None) -> None:
        """Show the units of a layer, the cursor on `unit` or the first one, or say why they cannot be read.

        The sort stays if the layer has that metric, and the filter if it suits these units.
        """
        try:
            table = self._session.load(layer)
        except ShapebiasError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.layer_key, self.units.title = layer, "/".join(layer)
        try:
            mask = self._mask(table, self.condition)
        except FilterError as error:
            self.condition, mask = "", None
            self.notify(str(error), severity="error", markup=False)
        self.units.show(table, mask, unit)

    def _mask(self, table: UnitTable, condition: str) -> NDArray[np.bool_] | None:
        """Return which units satisfy a filter, bool [rows]; None for an empty one. Raises FilterError."""
        return filter_mask(condition, table, self._session.filters.by_name) if condition else None

    def filter(self, condition: str) -> str:
        """Show only the units that satisfy a filter, all where it is empty, and return how many these are.

        Raises FilterError, and leaves the table as it is, where the filter is wrong.
        """
        table = self._session.load(self.layer_key)
        mask = self._mask(table, condition.strip())
        self.condition = condition.strip()
        self.units.filter(mask, self.units.unit)
        return f"{self.units.row_count:,} of {len(table):,} units    Enter keeps the filter, Escape clears it"

    def filter_words(self) -> list[str]:
        """Return the words that a filter of these units may have."""
        saved = (f"@{name}" for name in self._session.filters.by_name)
        return [*filter_words(self._session.load(self.layer_key)), *saved]

    def on_unit_table_view_moved(self, event: UnitTableView.Moved) -> None:
        event.stop()
        try:
            self.panel.show(event.unit, self._session.load(self.layer_key), event.neighbours)
        except ShapebiasError as error:
            self.notify(str(error), severity="error", markup=False)


class TwoLayersScreen(TellsErrors, Screen[None]):
    """The layer of a unit at the left, at the right that of the same name in the next model that has one.

    Keys are for the table that has the focus. Enter posts `GoTo`.
    """

    DEFAULT_CSS = """
    TwoLayersScreen > Horizontal { height: 1fr; }
    LayerSide { width: 1fr; }
    LayerSide UnitTableView { height: 2fr; scrollbar-size: 0 1; }
    LayerSide UnitPanel { height: 3fr; }
    TwoLayersScreen.-short UnitPanel { display: none; }
    TwoLayersScreen.-narrow > Horizontal { layout: vertical; }
    TwoLayersScreen.-narrow LayerSide { width: 100%; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "Back"),
        Binding("T", "app.pop_screen", "Back", show=False),
        Binding("f,slash", "filter", "Filter"),
        Binding("tab,shift+tab", "other", "Other table"),
        Binding("s", "sort(1)", "Sort"),
        Binding("S", "sort(-1)", "Sort by the previous column", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("left_square_bracket", "layer(-1)", "Previous layer", show=False),
        Binding("right_square_bracket", "layer(1)", "Next layer"),
        Binding("v", "view", "View"),
        Binding("enter", "go", "Go there"),
    ]

    def __init__(self, session: Session, unit: Unit) -> None:
        super().__init__()
        self._session, self._store = session, session.store
        self._prompt = Prompt()
        self._filtered: LayerSide | None = None  # the side whose filter is being written
        layer = unit.model, unit.layer
        self.sides = LayerSide(session, layer, unit), LayerSide(session, _beside(session.store, layer), None)

    @property
    def side(self) -> LayerSide:
        """The side whose table has the focus, else the left one."""
        focused = self._filtered if self._prompt.display else None
        return focused or next((side for side in self.sides if side.units.has_focus), self.sides[0])

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield from self.sides
        yield self._prompt
        yield KeyBar()

    def on_mount(self) -> None:
        self.sides[0].units.focus()

    def on_resize(self) -> None:
        self.set_class(self.size.height < _SHORT or self.has_class("-narrow"), "-short")

    def on_descendant_focus(self) -> None:
        """Let only the side with the focus refine its pictures, so that a key sends no more bytes than in the panes.

        In wide terminals, whose pictures have more bytes anyway, both sides do.
        """
        for side in self.sides:
            side.panel.grid.refines = self.has_class("-wide") or side is self.side
        self.side.panel.grid.refine()

    def action_back(self) -> None:
        """Remove the filter of the side with the focus, or close the screen where it has none."""
        if self.side.condition:
            self.side.filter("")
        else:
            self.app.pop_screen()

    def action_filter(self) -> None:
        """Open the prompt for a filter of the side with the focus."""
        self._filtered = self.side
        filters = self._session.filters
        filters.load()
        self._prompt.open(Purpose.FILTER, self.side.condition, self.side.filter_words(), filters.recent)

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        event.stop()
        self._filter(event.text)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        if self._filter(event.text):
            self._close_prompt()
            if event.text.strip():
                self._session.filters.use(event.text.strip())

    def on_prompt_cancelled(self, event: Prompt.Cancelled) -> None:
        event.stop()
        self._filter("")
        self._close_prompt()

    def _filter(self, text: str) -> bool:
        """Filter the side for which the prompt was opened; return whether the text is a filter."""
        if self._filtered is None:
            return False
        try:
            self._prompt.say(self._filtered.filter(text))
        except FilterError as error:
            self._prompt.complain(str(error), error.column)
            return False
        return True

    def _close_prompt(self) -> None:
        """Close the prompt, and give the focus back to the table that was filtered."""
        self._prompt.close()
        if self._filtered is not None:
            self._filtered.units.focus()

    def action_other(self) -> None:
        """Move the focus to the other table."""
        left, right = self.sides
        (left if right.units.has_focus else right).units.focus()

    def action_sort(self, step: int) -> None:
        """Sort the table by its next column for a `step` of 1, by the previous one for -1."""
        self.side.units.action_sort_next(step)

    def action_reverse(self) -> None:
        """Reverse the order of the table."""
        self.side.units.action_reverse()

    def action_layer(self, step: int) -> None:
        """Show in the table the next layer of the store for a `step` of 1, the previous one for -1, up to the ends."""
        layers = _layers(self._store)
        position = layers.index(self.side.layer_key) + step
        self.side.show_layer(layers[min(max(position, 0), len(layers) - 1)])

    def action_view(self) -> None:
        """Show the images of both units in the next view."""
        for side in self.sides:
            side.panel.next_view()

    def action_go(self) -> None:
        """Ask the app to show the unit under the table's cursor in the panes."""
        unit = self.side.units.unit
        if unit is not None:
            self.post_message(GoTo(unit))


def _layers(store: Store) -> list[LayerKey]:
    return [(model, layer) for model in store.models for layer in store.layers(model)]


def _beside(store: Store, layer: LayerKey) -> LayerKey:
    """Return the layer of the same name in the next model that has one, else the next layer, or the first."""
    models, layers = list(store.models), _layers(store)
    start = models.index(layer[0]) + 1
    others = [(model, layer[1]) for model in [*models[start:], *models[: start - 1]]]
    return next((other for other in others if other in layers), layers[(layers.index(layer) + 1) % len(layers)])
