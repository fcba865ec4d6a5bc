"""The explorer: models and layers left, the unit table in the middle, the unit's numbers and images right."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Footer, Input, Static, Tree

from shapebias.core.errors import ShapebiasError
from shapebias.core.metrics import METRICS
from shapebias.core.store import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units import UnitTable, load_units
from shapebias.tui.grid_view import GridView
from shapebias.tui.help import HelpScreen
from shapebias.tui.layer_list import LayerKey, LayerList
from shapebias.tui.search import SearchLine
from shapebias.tui.terminal import Graphics, Terminal, query_terminal
from shapebias.tui.unit_panel import UnitPanel
from shapebias.tui.unit_table import UnitTableView
from shapebias.tui.zoom import ZoomScreen

_BREAKPOINTS = [(0, "-narrow"), (76, "-normal"), (112, "-wide")]  # columns from which a class holds


class Explorer(App[None]):
    """Walks the units of a store."""

    TITLE = "shapebias"
    CSS_PATH = "explorer.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = _BREAKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "other_side", "Layers", priority=True),
        Binding("left_square_bracket", "layer(-1)", "Previous layer", show=False),
        Binding("right_square_bracket", "layer(1)", "Layer", key_display="[ ]"),
        Binding("s", "table('sort_next(1)')", "Sort"),
        Binding("S", "table('sort_next(-1)')", "Sort by the previous column", show=False),
        Binding("r", "table('reverse')", "Reverse"),
        Binding("v", "view", "View"),
        Binding("enter", "zoom", "Zoom"),
        Binding("slash", "search", "Find", key_display="/"),
        Binding("n", "match(1)", "Next match", show=False),
        Binding("N", "match(-1)", "Previous match", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, store: Store, start: Unit | None, terminal: Terminal, graphics: Graphics) -> None:
        super().__init__()
        self.store, self.terminal, self.graphics = store, terminal, graphics
        self._start = start
        self._table: UnitTable | None = None
        self._layer: LayerKey | None = None
        self._matches = ""

    def compose(self) -> ComposeResult:
        with Horizontal(id="panes"):
            yield LayerList(self.store, id="layers")
            yield UnitTableView(id="units")
            yield UnitPanel(self.store, self.terminal, self.graphics, id="unit")
        yield SearchLine(id="search")
        yield Static(id="status")
        yield Footer()

    @property
    def units(self) -> UnitTableView:
        return self.screen_stack[0].query_one("#units", UnitTableView)

    @property
    def layers(self) -> LayerList:
        return self.screen_stack[0].query_one("#layers", LayerList)

    @property
    def panel(self) -> UnitPanel:
        return self.screen_stack[0].query_one("#unit", UnitPanel)

    def on_mount(self) -> None:
        start = self._start
        key = (start.model, start.layer) if start is not None else self.layers.keys[0]
        self.units.focus()
        self.show_layer(key, start)
        self.call_after_refresh(self.layers.go_to, key)

    def show_layer(self, key: LayerKey, unit: Unit | None = None) -> None:
        """Shows the units of a layer; what is wrong with it is said, and the last one stays."""
        if key == self._layer and unit is None:
            return
        try:
            table = self._load(key)
        except ShapebiasError as error:
            self.notify(printable(str(error)), severity="error", markup=False)
            return
        self._layer, self._table = key, table
        self.units.show(table, unit)
        self._show_status()

    @lru_cache(maxsize=16)  # noqa: B019 (the app lives as long as the program)
    def _load(self, key: LayerKey) -> UnitTable:
        return load_units(self.store, *key)

    def _show_status(self) -> None:
        if self._layer is None:
            return
        model, layer = self._layer
        info = self.store.layers(model)[layer]
        sort = self.units.sort_by
        words = METRICS.get(sort)
        meaning = "" if words is None else f"   {words.title}: {words.low} … {words.high}"
        text = f"{model}  {layer}  {info.units} units, maps {info.map_height} × {info.map_width}{meaning}"
        self.screen_stack[0].query_one("#status", Static).update(printable(text, 400), layout=False)

    # What the widgets say

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[LayerKey | None]) -> None:
        if event.node.data is not None and event.control.has_focus:
            self.show_layer(event.node.data)

    def on_tree_node_selected(self, event: Tree.NodeSelected[LayerKey | None]) -> None:
        if event.node.data is not None:
            self.show_layer(event.node.data)
            self.units.focus()

    def on_unit_table_view_moved(self, event: UnitTableView.Moved) -> None:
        if self._table is None or event.unit != self.units.unit:
            return  # by now the cursor is elsewhere
        try:
            self.panel.show(event.unit, self._table, event.neighbours)
            if isinstance(self.screen, ZoomScreen):
                self.screen.panel.show(event.unit, self._table, event.neighbours)
        except ShapebiasError as error:
            self.notify(printable(str(error)), severity="error", markup=False)
        self._show_status()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._matches = event.value.strip()
        self.query_one(SearchLine).action_close()
        if self._matches:
            self._match(1, here=True)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Over another screen, what belongs to the panes below it is switched off."""
        return len(self.screen_stack) == 1 or action not in ("other_side", "search", "zoom")

    def action_other_side(self) -> None:
        if self.layers.has_focus:
            self.units.focus()
        elif self.layers.display:
            self.layers.focus()
            if self._layer is not None:
                self.layers.go_to(self._layer)

    def action_layer(self, step: int) -> None:
        keys = self.layers.keys
        if self._layer is not None:
            key = keys[min(max(keys.index(self._layer) + step, 0), len(keys) - 1)]
            self.show_layer(key)
            self.layers.go_to(key)

    async def action_table(self, action: str) -> None:
        await self.run_action(action, default_namespace=self.units)

    def action_view(self) -> None:
        (self.screen if isinstance(self.screen, ZoomScreen) else self).panel.next_view()

    def action_zoom(self) -> None:
        if self._table is not None and self.units.unit is not None:
            self.push_screen(ZoomScreen(self.store, self.terminal, self.graphics, self.units, self._table))

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    def action_search(self) -> None:
        self.query_one(SearchLine).open()

    def action_match(self, step: int) -> None:
        if self._matches:
            self._match(step)

    def _match(self, step: int, here: bool = False) -> None:
        """Moves to the next unit whose number is, else starts with, else contains what was searched."""
        units = self.units
        count = units.row_count
        wanted = self._matches.rpartition("/")[2]
        names = {place: str(unit.index) for place in range(count) if (unit := units.unit_at(place)) is not None}
        exact = [place for place, name in names.items() if name == wanted]
        found = exact or [place for place, name in names.items() if wanted in name]
        if not found:
            self.notify(f"no unit {printable(self._matches, 40)} in this layer", severity="warning", markup=False)
            return
        start = units.cursor if here else units.cursor + step
        units.move_to(min(found, key=lambda place: (place - start) * step % count))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        for name in self.units.columns[1:]:
            metric = METRICS[name]
            high, low = f"Sort by {metric.title}, largest first", f"Sort by {metric.title}, smallest first"
            yield SystemCommand(high, metric.high, lambda name=name: self.units.sort(name, False))
            yield SystemCommand(low, metric.low, lambda name=name: self.units.sort(name, True))
        for key in self.layers.keys:
            yield SystemCommand(f"Layer {key[0]}/{key[1]}", "Show its units", lambda key=key: self._jump(key))

    def _jump(self, key: LayerKey) -> None:
        self.show_layer(key)
        self.layers.go_to(key)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Paints pictures again where Textual's update of the screen wrote over them."""
        super()._display(screen, renderable)
        if renderable is not None and not self.is_headless and screen is self.screen:
            for grid in screen.query(GridView):
                if grid.damaged_by(renderable):
                    grid.repair()


def run_explorer(store: Store, start: Unit | None, graphics: str) -> None:
    """Asks the terminal what it can show, and opens the explorer in it."""
    terminal = query_terminal()
    Explorer(store, start, terminal, terminal.choose(graphics)).run()
