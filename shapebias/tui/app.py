"""The explorer: models and layers left, the unit table in the middle, the unit's numbers and images right."""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Footer, Tree

from shapebias.core.errors import ShapebiasError
from shapebias.core.filter import FilterError, filter_columns, filter_mask
from shapebias.core.marks import Marks
from shapebias.core.store import Store, Unit
from shapebias.core.text import printable
from shapebias.core.twins import Correlator
from shapebias.core.units import UnitTable, load_units
from shapebias.tui.commands import explorer_commands
from shapebias.tui.debug_stats import MoveStats
from shapebias.tui.jump import find_number, find_place
from shapebias.tui.keys import CURSOR_ONLY, KEYS, PANES_ONLY
from shapebias.tui.layer_list import LayerKey, LayerList
from shapebias.tui.prompt import HINTS, Prompt, Purpose
from shapebias.tui.saving import save_marks, save_table, save_unit_picture
from shapebias.tui.screens import SCREENS
from shapebias.tui.settings import load_settings
from shapebias.tui.status import StatusLine
from shapebias.tui.terminal import Graphics, Terminal, query_terminal
from shapebias.tui.terminal_app import TerminalApp
from shapebias.tui.theme import NO_COLOUR
from shapebias.tui.unit_panel import UnitPanel
from shapebias.tui.unit_table import UnitTableView

_BREAKPOINTS = [(0, "-narrow"), (76, "-normal"), (112, "-wide")]  # columns from which a class holds


class Explorer(TerminalApp):
    """Walks the units of a store."""

    TITLE = "shapebias"
    CSS_PATH = "explorer.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = _BREAKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = KEYS

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
            yield UnitTableView(self.marks, self.settings.hidden, id="units")
            yield self.new_panel("unit")
        yield Prompt(id="prompt")
        yield StatusLine(id="status")
        yield Footer()

    def new_panel(self, id: str | None = None) -> UnitPanel:
        """A panel for one unit, with the view that is chosen."""
        return UnitPanel(self.store, self.marks, self.terminal, self.graphics, self.settings.view, id)

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

    # What the widgets say

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[LayerKey | None]) -> None:
        if event.node.data is not None and event.control.has_focus:
            self.show_layer(event.node.data)

    def on_tree_node_selected(self, event: Tree.NodeSelected[LayerKey | None]) -> None:
        if event.node.data is not None:
            self.show_layer(event.node.data)
            self.units.focus()

    def on_unit_table_view_moved(self, event: UnitTableView.Moved) -> None:
        if self.table is None or not self.screen_stack or event.unit != self.units.unit:
            return  # by now the cursor is elsewhere
        if self._stats is not None:
            self.status.figures = ""
            self._stats.begin()
        try:
            for panel in self._panels:
                panel.show(event.unit, self.table, event.neighbours)
        except ShapebiasError as error:
            self.complain(error)
        self._show_status()

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        if event.purpose is Purpose.FILTER:
            self._filter(event.text)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        if event.purpose is Purpose.FILTER and not self._filter(event.text):
            return
        self.prompt.close()
        if event.purpose is Purpose.FIND:
            self._find(event.text.strip())
        elif event.purpose is Purpose.NOTE and self._anchor is not None:
            self._change_mark(partial(self.marks.set, self._anchor, event.text.strip()))
        self._show_status()

    def on_prompt_cancelled(self, event: Prompt.Cancelled) -> None:
        if event.purpose is Purpose.FILTER:
            self._filter("")
            self._show_status()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Over another screen, what belongs to the panes below it is off; in a prompt, what moves the focus."""
        if action == "other_side" and self.screen_stack and self.prompt.display:
            return False
        if len(self.screen_stack) > 1 and action in CURSOR_ONLY and len(self._panels) == 1:
            return False  # nothing on that screen would show where the cursor goes
        return len(self.screen_stack) == 1 or action not in PANES_ONLY or parameters == ("help",)

    def action_other_side(self) -> None:
        if self.layers.has_focus:
            self.units.focus()
        elif self.layers.display:
            self.layers.focus()
            if self.layer is not None:
                self.layers.go_to(self.layer)

    def action_layer(self, step: int) -> None:
        keys = self.layers.keys
        if self.layer is not None:
            self.go_to_layer(keys[min(max(keys.index(self.layer) + step, 0), len(keys) - 1)])

    async def action_table(self, action: str) -> None:
        await self.run_action(action, default_namespace=self.units)

    def action_view(self) -> None:
        self._panels[-1].next_view()
        self.settings.view = self._panels[-1].grid.view
        self.settings.save()

    def action_screen(self, name: str) -> None:
        """Opens one of `screens.SCREENS` over the panes."""
        try:
            screen = SCREENS[name](self)
        except ShapebiasError as error:
            self.complain(error)
            return
        if screen is not None:
            self.push_screen(screen)

    def choose_columns(self, hidden: list[str]) -> None:
        """Hides these metrics, now and in later runs."""
        others = [name for name in self.settings.hidden if self.table is None or name not in self.table.columns]
        self.settings.hidden = [*others, *hidden]
        self.settings.save()
        self.units.hide(self.settings.hidden)

    def _keep_theme(self, theme: Theme) -> None:
        self.settings.theme = theme.name
        self.settings.save()

    # Filter, find, go

    def action_filter(self) -> None:
        if self.table is not None:
            self._anchor = self.units.unit
            self.prompt.open(Purpose.FILTER, self._condition, filter_columns(self.table))

    def _filter(self, condition: str) -> bool:
        """Shows the units that satisfy it; False where it is wrong, which the prompt says."""
        if self.table is None:
            return False
        condition = condition.strip() and condition
        try:
            mask = filter_mask(condition, self.table) if condition else None
        except FilterError as error:
            self.prompt.complain(str(error), error.column)
            return False
        self._condition = condition.strip()
        self.units.filter(mask, self._anchor)
        shown = f"{self.units.row_count} of {len(self.table)} units    Enter keeps the filter, Escape clears it"
        self.prompt.say(shown if condition else HINTS[Purpose.FILTER])
        return True

    def action_escape(self) -> None:
        """Leaves the prompt, else clears the filter."""
        if self.prompt.display:
            self.prompt.action_cancel()
        elif self._condition:
            self._anchor = self.units.unit
            self._filter("")

    def action_search(self) -> None:
        self.prompt.open(Purpose.FIND, "")

    def _find(self, text: str) -> None:
        """Goes to the unit or layer of that name; a bare number is looked for among the units shown."""
        if text.removeprefix(":").isdecimal():
            self._matches = text.removeprefix(":")
            self._match(1, here=True)
        elif text and self.layer is not None:
            try:
                key, index = find_place(self.store, text, self.layer[0])
            except ShapebiasError as error:
                self.complain(error)
                return
            self.go_to(Unit(*key, index)) if index is not None else self.go_to_layer(key)

    def action_match(self, step: int) -> None:
        if self._matches:
            self._match(step)

    def _match(self, step: int, here: bool = False) -> None:
        """Moves to the next unit whose number is, else contains what was searched."""
        units = self.units
        place = find_number(units.shown_numbers, self._matches, units.cursor if here else units.cursor + step, step)
        if place is None:
            missing = f"no unit {printable(self._matches, 40)} among those shown"
            self.notify(missing, severity="warning", markup=False)
        else:
            units.move_to(place)

    def go_to_layer(self, key: LayerKey, unit: Unit | None = None) -> None:
        """Shows a layer, from its top or with the cursor on `unit`."""
        self.show_layer(key, unit)
        self.layers.go_to(key)

    def go_to(self, unit: Unit) -> None:
        """Puts the cursor on a unit of any layer; a filter that hides it is cleared."""
        self.go_to_layer((unit.model, unit.layer), unit)
        if self.units.unit != unit and self._condition:
            self._anchor = unit
            self._filter("")
            self.say("the filter is cleared: it hid this unit")

    # Marks

    def action_mark(self) -> None:
        unit = self.units.unit
        if unit is not None:
            change = partial(self.marks.remove, unit) if unit in self.marks else partial(self.marks.set, unit)
            self._change_mark(change)

    def action_note(self) -> None:
        self._anchor = self.units.unit
        if self._anchor is not None:
            self.prompt.open(Purpose.NOTE, self.marks.note(self._anchor))

    def _change_mark(self, change: Callable[[], None]) -> None:
        try:
            change()
        except ShapebiasError as error:
            self.complain(error)
        self.units.refresh()
        for panel in self._panels:
            panel.write()

    def action_marked(self, step: int) -> None:
        """Goes to the next marked unit, in the order of layers and units, or around."""
        if self.layer is None:
            return
        found = self.marks.next_to(self.units.unit or Unit(*self.layer, 0), step)
        if found is None:
            self.say("no unit is marked: m marks one")
        else:
            self.go_to(found)

    # Saving

    def action_save_picture(self) -> None:
        unit = self.units.unit
        if unit is not None:
            self._save(partial(save_unit_picture, self.store, unit, self._panels[-1].grid.view))

    def action_save_table(self) -> None:
        table = self.units.shown
        if table is not None:
            self._save(partial(save_table, self.store, table))

    def action_save_marks(self) -> None:
        self._save(partial(save_marks, self.store, self.marks))

    def _save(self, save: Callable[[], Path]) -> None:
        """Saves on a thread, and says where."""

        def run() -> None:
            try:
                path = save()
            except ShapebiasError as error:
                self.call_later(self.complain, error)
            else:
                self.call_later(self.say, f"saved {path.resolve()}")

        self.say("saving …")
        self.run_worker(run, thread=True)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        yield from explorer_commands(self)


def run_explorer(store: Store, start: Unit | None, graphics: str, debug_stats: bool = False) -> None:
    """Asks the terminal what it can show, and opens the explorer in it."""
    terminal = query_terminal()
    Explorer(store, start, terminal, terminal.choose(graphics), debug_stats).run_to_end()
