"""Two layers side by side, such as one of each model: two tables, each with its own sort and cursor, and two units."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Store, Unit
from shapebias.tui.messages import GoTo
from shapebias.tui.session import Session
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.unit_table import UnitTableView

_SHORT = 24  # rows below which there are only the tables


class LayerSide(Vertical):
    """The table of a layer, and below it the unit under its cursor."""

    def __init__(self, session: Session, layer: LayerKey, unit: Unit | None) -> None:
        """Begin with the cursor on `unit`, or on the first unit of the layer where it is None."""
        super().__init__()
        self._session, self.layer_key, self._first = session, layer, unit
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

        The sort stays if the layer has that metric.
        """
        try:
            table = self._session.load(layer)
        except ShapebiasError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.layer_key, self.units.title = layer, "/".join(layer)
        self.units.show(table, None, unit)

    def on_unit_table_view_moved(self, event: UnitTableView.Moved) -> None:
        event.stop()
        try:
            self.panel.show(event.unit, self._session.load(self.layer_key), event.neighbours)
        except ShapebiasError as error:
            self.notify(str(error), severity="error", markup=False)


class TwoLayersScreen(Screen[None]):
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
        Binding("escape,backspace,T", "app.pop_screen", "Back"),
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
        self._store = session.store
        layer = unit.model, unit.layer
        self.sides = LayerSide(session, layer, unit), LayerSide(session, _beside(session.store, layer), None)

    @property
    def side(self) -> LayerSide:
        """The side whose table has the focus, else the left one."""
        return next((side for side in self.sides if side.units.has_focus), self.sides[0])

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield from self.sides
        yield KeyBar()

    def on_mount(self) -> None:
        self.sides[0].units.focus()

    def on_resize(self) -> None:
        self.set_class(self.size.height < _SHORT or self.has_class("-narrow"), "-short")

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
