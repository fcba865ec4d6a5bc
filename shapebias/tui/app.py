"""The explorer: what its keys do. What the panes show is in panes.py."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Tree

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.filter import FilterError, filter_columns, filter_mask
from shapebias.tui.jump import find_number, find_place
from shapebias.tui.keys import CURSOR_ONLY, KEYS, PANES_ONLY, explorer_commands
from shapebias.tui.panes import Panes
from shapebias.tui.saving import save_marks, save_table, save_unit_picture
from shapebias.tui.screens import SCREENS, by_image, one_image
from shapebias.tui.terminal.query import query_terminal
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.prompt import HINTS, Prompt, Purpose
from shapebias.tui.widgets.unit_table import UnitTableView

_BREAKPOINTS = [(0, "-narrow"), (76, "-normal"), (112, "-wide")]  # columns from which a class holds


class Explorer(Panes):
    """Walks the units of a store."""

    TITLE = "shapebias"
    CSS_PATH = "explorer.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = _BREAKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = KEYS

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

    def on_grid_view_chosen(self, event: GridView.Chosen) -> None:
        self.open_image(event.subject)

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        if event.purpose is Purpose.FILTER:
            self._filter(event.text)
        elif event.purpose is Purpose.FIND and (unit := self._sought(event.text.strip())) is not None:
            self.panel.grid.prepare(unit)

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
        self._open(lambda: SCREENS[name](self))

    def open_image(self, subject: UnitImage) -> None:
        """Opens the screen of one of a unit's images."""
        self._open(lambda: one_image(self, subject))

    def open_by_image(self, image: ImageName, unit: Unit) -> None:
        """Opens the screen of what fires on an image."""
        self._open(lambda: by_image(self, image, unit))

    def _open(self, make: Callable[[], Screen[Any] | None]) -> None:
        try:
            screen = make()
        except ShapebiasError as error:
            self.complain(error)
            return
        if screen is not None:
            self.push_screen(screen)

    def choose_columns(self, hidden: list[str], widths: dict[str, int]) -> None:
        """Hides these metrics, and shows columns as wide as `widths` says, now and in later runs."""
        others = [name for name in self.settings.hidden if self.table is None or name not in self.table.columns]
        self.settings.hidden, self.settings.widths = [*others, *hidden], widths
        self.settings.save()
        self.units.change_columns(self.settings.hidden, widths)

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

    def _sought(self, text: str) -> Unit | None:
        """The unit that `_find` would go to, None where it would not go to one."""
        number = text.removeprefix(":")
        if number.isdecimal():
            place = find_number(self.units.shown_numbers, number, self.units.cursor, 1)
            return None if place is None else self.units.unit_at(place)
        if not text or self.layer is None:
            return None
        try:
            key, index = find_place(self.store, text, self.layer[0])
        except ShapebiasError:  # not yet a name
            return None
        return None if index is None else Unit(*key, index)

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
        """Puts the cursor on a unit of any layer, in the panes; a filter that hides it is cleared."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
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
