"""The explorer's panes: models and layers left, the unit table in the middle, the unit's numbers and images right."""

from collections.abc import Iterable
from functools import lru_cache

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.theme import Theme
from textual.widgets import Footer

from shapebias.core.analysis.twins import Correlator
from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.filter import FilterError, filter_mask
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import UnitTable, load_units
from shapebias.tui.settings import load_settings
from shapebias.tui.terminal.debug_stats import MoveStats
from shapebias.tui.terminal.query import Graphics, Terminal
from shapebias.tui.terminal_app import TerminalApp
from shapebias.tui.theme import NO_COLOUR
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.layer_list import LayerKey, LayerList
from shapebias.tui.widgets.prompt import Prompt
from shapebias.tui.widgets.status import StatusLine
from shapebias.tui.widgets.unit_panel import UnitPanel
from shapebias.tui.widgets.unit_table import UnitTableView


class Panes(TerminalApp):
    """Shows a layer of a store and a unit of it."""

    def __init__(
        self, store: Store, start: Unit | None, terminal: Terminal, graphics: Graphics, debug_stats: bool = False
    ) -> None:
        self._stats = MoveStats() if debug_stats else None
        super().__init__(self._stats)
        self.store: Store = store
        self.terminal, self.graphics = terminal, graphics
        self.marks = Marks(store)
        self.settings = load_settings()
        self.correlator = Correlator(store)
        self._start = start
        self.table: UnitTable | None = None
        self.layer: LayerKey | None = None
        self._matches = ""  # what was searched last
        self._condition = ""  # the filter
        self._anchor: Unit | None = None  # the unit from which a filter is written

    def compose(self) -> ComposeResult:
        with Horizontal(id="panes"):
            yield LayerList(self.store, id="layers")
            yield UnitTableView(self.marks, self.settings.hidden, self.settings.widths, id="units")
            yield self.new_panel("unit")
        yield Prompt(id="prompt")
        yield StatusLine(id="status")
        yield Footer()

    def new_panel(self, id: str | None = None) -> UnitPanel:
        """A panel for one unit, with the view that is chosen."""
        return UnitPanel(self.store, self.marks, self.terminal, self.graphics, self.settings.view, id)

    def new_grid(self) -> GridView:
        """A place for pictures."""
        return GridView(self.store, self.terminal, self.graphics)

    @property
    def units(self) -> UnitTableView:
        return self.screen_stack[0].query_one("#units", UnitTableView)

    @property
    def layers(self) -> LayerList:
        return self.screen_stack[0].query_one("#layers", LayerList)

    @property
    def panel(self) -> UnitPanel:
        return self.screen_stack[0].query_one("#unit", UnitPanel)

    @property
    def status(self) -> StatusLine:
        return self.screen_stack[0].query_one("#status", StatusLine)

    @property
    def prompt(self) -> Prompt:
        return self.screen_stack[0].query_one(Prompt)

    @property
    def _panels(self) -> list[UnitPanel]:
        """Those that show the cursor's unit, on the panes and on what is over them."""
        over: Iterable[UnitPanel] = self.screen.query(UnitPanel) if len(self.screen_stack) > 1 else ()
        return [self.panel, *(panel for panel in over if panel.follows)]

    def on_mount(self) -> None:
        self.register_theme(NO_COLOUR)
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        start = self._start
        key = (start.model, start.layer) if start is not None else self.layers.keys[0]
        self.units.focus()
        self.show_layer(key, start)
        self.call_after_refresh(self.layers.go_to, key)
        try:
            self.marks.load()
        except ShapebiasError as error:
            self.complain(error)
        if self._stats is not None:
            self.set_interval(0.1, self._show_figures)

    def _keep_theme(self, theme: Theme) -> None:
        self.settings.theme = theme.name
        self.settings.save()

    def show_layer(self, key: LayerKey, unit: Unit | None = None) -> None:
        """Shows the units of a layer; what is wrong with it is said, and the last one stays."""
        if key == self.layer and unit is None:
            return
        try:
            table = self.load(key)
        except ShapebiasError as error:
            self.complain(error)
            return
        mask = None
        try:
            mask = filter_mask(self._condition, table) if self._condition else None
        except FilterError as error:
            self._condition = ""
            self.complain(error)
        self.layer, self.table = key, table
        self.units.show(table, mask, unit)
        self._show_status()

    @lru_cache(maxsize=16)  # noqa: B019 (the app lives as long as the program)
    def load(self, key: LayerKey) -> UnitTable:
        """The units of a layer. Raises StoreError."""
        return load_units(self.store, *key)

    def _show_status(self) -> None:
        if self.layer is not None:
            info = self.store.layers(self.layer[0])[self.layer[1]]
            self.status.show(self.layer, info, self.units, self._condition)

    def say(self, text: str) -> None:
        """Shows a text on the status line until the cursor moves."""
        self.status.say(text, self.units.unit)
        self._show_status()

    def complain(self, error: ShapebiasError) -> None:
        """Shows what went wrong as a message."""
        self.notify(printable(str(error)), severity="error", markup=False)

    def _show_figures(self) -> None:
        figures = self._stats.finished() if self._stats is not None else None
        if figures is not None:
            self.status.figures = figures
            self._show_status()
