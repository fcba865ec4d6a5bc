"""The explorer's panes: models and layers left, the unit table in the middle, the unit's numbers and images right."""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.dom import DOMNode
from textual.theme import Theme
from textual.timer import Timer

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.filter import FilterError, filter_mask
from shapebias.core.units.table import UnitTable
from shapebias.tui.jump import words_of
from shapebias.tui.resizing import PaneRow
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.terminal.debug_stats import MoveStats
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal
from shapebias.tui.terminal_app import TerminalApp
from shapebias.tui.theme import NO_COLOUR, PAPER
from shapebias.tui.widgets.distributions import Distributions
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.layer_list import LayerKey, LayerList, Scope
from shapebias.tui.widgets.prompt import Prompt
from shapebias.tui.widgets.status import StatusLine
from shapebias.tui.widgets.unit_panel import UnitPanel
from shapebias.tui.widgets.unit_table import UnitTableView

_REST = 0.2  # seconds on a unit before what can wait is shown


class Panes(TellsErrors, TerminalApp):
    """An app that shows a table of units of a store and one of them; `table` is None until one could be read."""

    def __init__(
        self,
        store: Store,
        start: Unit | None,
        terminal: Terminal,
        graphics: Graphics,
        *,
        debug_stats: bool = False,
    ) -> None:
        """Begin at the unit `start`, or at the first one.

        With `debug_stats` the status line tells how long each move of the cursor takes, and how many bytes it sends.
        """
        self._stats = MoveStats() if debug_stats else None
        session = Session(store, terminal, graphics)
        super().__init__(terminal, session.painter, self._stats)
        self.session = session
        self._start = start
        self.table: UnitTable | None = None
        self._resting: Timer | None = None
        self._matches = ""  # the number or word that was searched last
        self._condition = ""  # the filter
        self._anchor: Unit | None = None  # the unit under the cursor when a filter or a note was begun
        self._words = lru_cache(1)(self._read_words)  # the words of all units of a scope
        self._visited: list[Unit] = []  # units that one can go back to
        self._later: list[Unit] = []  # units that one can go forward to, the next one last
        self._changed_marks: list[dict[Unit, str | None]] = []  # notes before each change, None without a mark

    def compose(self) -> ComposeResult:
        session = self.session
        with PaneRow(id="panes"):
            with Vertical(id="side"):
                yield LayerList(session.store, id="layers")
                yield Distributions(list(session.store.models), id="spreads")
            yield UnitTableView(session.marks, session.settings.hidden, session.settings.widths, id="units")
            yield session.new_panel("unit")
        yield Prompt(id="prompt")
        yield StatusLine(id="status")
        yield KeyBar()

    @property
    def scope(self) -> Scope | None:
        """The layer, the model or all models whose units the table has: see `Scope`. None until one could be read."""
        return self.session.scope

    @property
    def layer(self) -> LayerKey | None:
        """The layer of the unit under the cursor, else the first of the table; None until a table could be read."""
        unit = self.units.unit
        if unit is not None:
            return unit.model, unit.layer
        return self.table.layers[0] if self.table is not None else None

    @property
    def units(self) -> UnitTableView:
        """The table in the middle."""
        return self.screen_stack[0].query_one("#units", UnitTableView)

    @property
    def layers(self) -> LayerList:
        """The models and layers at the left."""
        return self.screen_stack[0].query_one("#layers", LayerList)

    @property
    def panel(self) -> UnitPanel:
        """The unit at the right."""
        return self.screen_stack[0].query_one("#unit", UnitPanel)

    @property
    def status(self) -> StatusLine:
        """The line above the footer."""
        return self.screen_stack[0].query_one("#status", StatusLine)

    @property
    def prompt(self) -> Prompt:
        """The line to write in, where the status line and the footer are otherwise."""
        return self.screen_stack[0].query_one(Prompt)

    @property
    def _panels(self) -> list[UnitPanel]:
        """The unit panels that follow the cursor: that of the panes, and those of the screen over them."""
        over: Iterable[UnitPanel] = self.screen.query(UnitPanel) if len(self.screen_stack) > 1 else ()
        return [self.panel, *(panel for panel in over if panel.follows)]

    def on_mount(self) -> None:
        for theme in (NO_COLOUR, PAPER):
            self.register_theme(theme)
        if self.session.settings.theme in self.available_themes:
            self.theme = self.session.settings.theme
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        start = self._start
        layer = (start.model, start.layer) if start is not None else self.layers.keys[0]
        self.units.focus()
        self.show_units(layer, start)
        self.call_after_refresh(self.layers.go_to, layer)
        try:
            self.session.marks.load()
        except ShapebiasError as error:
            self.complain(error)
        if self._stats is not None:
            self.set_interval(0.1, self._show_figures)

    def _read_words(self, scope: Scope) -> list[str]:
        """Return the words by which units of a scope can be searched (`words_of`). Raises StoreError."""
        return words_of(self.session.store, self.session.load(scope))

    def _keep_theme(self, theme: Theme) -> None:
        """Keep the theme that the user chose for later runs."""
        self.session.settings.theme = theme.name
        self.session.settings.save()

    def show_units(self, scope: Scope, unit: Unit | None = None) -> None:
        """Show the units of a scope in the table, with the cursor on `unit`, or on the first where it is None.

        The filter stays, unless it does not suit these units. Where the units cannot be read, the user is told why, and
        the table stays as it is. Nothing happens where the table has this scope already and `unit` is None.
        """
        if scope == self.scope and unit is None:
            return
        try:
            table = self.session.load(scope)
        except ShapebiasError as error:
            self.complain(error)
            return
        mask = None
        try:
            mask = filter_mask(self._condition, table, self.session.filters.by_name) if self._condition else None
        except FilterError as error:
            self._condition = ""
            self.complain(error)
        self.session.scope, self.table = scope, table
        self.units.show(table, mask, unit)
        self._show_status()

    def _show_status(self) -> None:
        """Write the status line anew."""
        if self.layer is not None and self.scope is not None:
            model, name = self.layer
            facts = self.session.store.layers(model)[name]
            self.status.show(self.scope, facts, self.units, self._condition, self.session.marks)

    def _show_spreads(self) -> None:
        """Show at the left how the metrics of the unit's layer spread over its units, if there is room for it."""
        if not self.screen_stack or not (spreads := self.screen_stack[0].query(Distributions)):
            return  # the app is ending
        unit = self.units.unit
        if unit is not None and spreads.first().is_on_screen:
            with suppress(ShapebiasError):  # a damaged store is reported when the user asks for its data
                spreads.first().show(self.session.load((None, unit.layer)), unit, self.units.sort_by)

    def _rest(self) -> None:
        """Show how the layer's metrics spread, once the cursor has rested for 0.2 s."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST, self._show_spreads)

    def say(self, text: str) -> None:
        """Show a text on the status line until the cursor moves."""
        self.status.say(text, self.units.unit)
        self._show_status()

    async def _dispatch_action(self, namespace: DOMNode, action_name: str, params: Any) -> bool:
        """Run an action of any widget or screen; an error of the store that it runs into is told, as by its messages.

        Keys run actions outside of the queues that `TellsErrors` is about.
        """
        try:
            return await super()._dispatch_action(namespace, action_name, params)
        except ShapebiasError as error:
            self.complain(error)
            return True

    def complain(self, error: ShapebiasError) -> None:
        """Show an error as a notification."""
        self.notify(printable(str(error)), severity="error", markup=False)

    def _show_figures(self) -> None:
        """Show on the status line how long the last move of the cursor took and how many bytes it sent (`MoveStats`).

        Nothing is shown while bytes are still being sent for it.
        """
        figures = self._stats.finished() if self._stats is not None else None
        if figures is not None:
            self.status.figures = figures
            self._show_status()
