"""The explorer: what its keys, widgets and screens make it do. What the panes show is in panes.py."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import actions
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Tree

from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.core.units.filter import FilterError, filter_columns, filter_mask
from shapebias.tui.jump import find_number, find_place
from shapebias.tui.keys import CURSOR_ONLY, KEYS, PANES_ONLY, app_commands, layer_commands, sort_commands
from shapebias.tui.messages import ColumnsChosen, GoTo, OpenByImage, OpenImage
from shapebias.tui.panes import Panes
from shapebias.tui.saving import save_marks, save_table, save_unit_picture
from shapebias.tui.screens import SCREENS
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.image import ImageScreen, NoImagesError
from shapebias.tui.terminal.query import query_terminal
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.prompt import HINTS, Prompt, Purpose
from shapebias.tui.widgets.unit_table import UnitTableView

_ROWS = [(0, "-low"), (12, "-high")]  # rows from which a class holds
_BREAKPOINTS = [(0, "-narrow"), (76, "-normal"), (112, "-wide")]  # columns from which a class holds


class Explorer(Panes):
    """The explorer of a store, for walking its units."""

    TITLE = "shapebias"
    CSS_PATH = "explorer.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS, VERTICAL_BREAKPOINTS = _BREAKPOINTS, _ROWS
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
            self._change_mark(partial(self.session.marks.set, self._anchor, event.text.strip()))
        self._show_status()

    def on_prompt_cancelled(self, event: Prompt.Cancelled) -> None:
        if event.purpose is Purpose.FILTER:
            self._filter("")
            self._show_status()

    # What the screens ask for

    def on_go_to(self, event: GoTo) -> None:
        self.go_to(event.unit)

    def on_open_image(self, event: OpenImage) -> None:
        self._open(lambda: ImageScreen(self.session, event.unit_image))

    def on_open_by_image(self, event: OpenByImage) -> None:
        self._open(lambda: ByImageScreen(self.session, event.image, event.unit))

    def on_columns_chosen(self, event: ColumnsChosen) -> None:
        """Keep the choice for later runs, too; for metrics that this layer does not have, the last one stays."""
        settings = self.session.settings
        others = [name for name in settings.hidden if self.table is None or name not in self.table.columns]
        settings.hidden, settings.widths = [*others, *event.hidden], event.widths
        settings.save()
        self.units.change_columns(settings.hidden, settings.widths)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does something now.

        Over another screen, what belongs to the panes is off; in a prompt, what would leave it.
        """
        if action == "other_side" and self.screen_stack and self.prompt.display:
            return False
        if len(self.screen_stack) > 1 and action in CURSOR_ONLY and len(self._panels) == 1:
            return False  # nothing on that screen would show where the cursor goes
        return len(self.screen_stack) == 1 or action not in PANES_ONLY or parameters == ("help",)

    def action_other_side(self) -> None:
        """Move the focus from the units to the layers, or back."""
        if self.layers.has_focus:
            self.units.focus()
        elif self.layers.display:
            self.layers.focus()
            if self.layer is not None:
                self.layers.go_to(self.layer)

    def action_layer(self, step: int) -> None:
        """Show the next layer for a `step` of 1, the previous one for -1."""
        layers = self.layers.keys
        if self.layer is not None:
            self.go_to_layer(layers[min(max(layers.index(self.layer) + step, 0), len(layers) - 1)])

    async def action_table(self, action: str) -> None:
        """Run an action of the unit table."""
        await self.run_action(action, default_namespace=self.units)

    def action_view(self) -> None:
        """Show the images in the next view, and keep it for later runs."""
        self._panels[-1].next_view()
        self.session.settings.view = self._panels[-1].grid.view
        self.session.settings.save()

    def action_screen(self, name: str) -> None:
        """Open one of `screens.SCREENS` over the panes."""
        self._open(lambda: SCREENS[name](self.session, self.layer, self.units.unit))

    def action_image(self, rank: int) -> None:
        """Open the screen of one of the unit's images, by its rank from 0, else of the last."""
        unit = self.units.unit
        if unit is not None:
            self._open(lambda: ImageScreen(self.session, UnitImage(unit, rank)))

    def _open(self, make: Callable[[], Screen[Any] | None]) -> None:
        """Open the screen that `make` returns, if it does, or say why it cannot."""
        try:
            screen = make()
        except NoImagesError as error:
            self.say(str(error))
        except ShapebiasError as error:
            self.complain(error)
        else:
            if screen is not None:
                self.push_screen(screen)

    # Filter, find, go

    def action_filter(self) -> None:
        """Open the prompt for a filter."""
        if self.table is not None:
            self._anchor = self.units.unit
            self.prompt.open(Purpose.FILTER, self._condition, filter_columns(self.table))

    def _filter(self, condition: str) -> bool:
        """Show the units that satisfy `condition`; return False where it is wrong, which the prompt says."""
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
        count = f"{self.units.row_count} of {len(self.table)} units    Enter keeps the filter, Escape clears it"
        self.prompt.say(count if condition else HINTS[Purpose.FILTER])
        return True

    def action_escape(self) -> None:
        """Leave the prompt, else clear the filter."""
        if self.prompt.display:
            self.prompt.action_cancel()
        elif self._condition:
            self._anchor = self.units.unit
            self._filter("")

    def action_search(self) -> None:
        """Open the prompt for the name of a unit or layer."""
        self.prompt.open(Purpose.FIND, "")

    def _find(self, text: str) -> None:
        """Go to the unit or layer of that name; a bare number is looked for among the units shown."""
        if text.removeprefix(":").isdecimal():
            self._matches = text.removeprefix(":")
            self._match(1, here=True)
        elif text and self.layer is not None:
            try:
                layer, index = find_place(self.session.store, text, self.layer[0])
            except ShapebiasError as error:
                self.complain(error)
                return
            self.go_to(Unit(*layer, index)) if index is not None else self.go_to_layer(layer)

    def _sought(self, text: str) -> Unit | None:
        """Return the unit that `_find` would go to, None where it would not go to one."""
        number = text.removeprefix(":")
        if number.isdecimal():
            row = find_number(self.units.unit_numbers, number, self.units.cursor, 1)
            return None if row is None else self.units.unit_at(row)
        if not text or self.layer is None:
            return None
        try:
            layer, index = find_place(self.session.store, text, self.layer[0])
        except ShapebiasError:  # not yet a name
            return None
        return None if index is None else Unit(*layer, index)

    def action_match(self, step: int) -> None:
        """Go to the next match of the number that was searched last, to the previous one for a `step` of -1."""
        if self._matches:
            self._match(step)

    def _match(self, step: int, here: bool = False) -> None:
        """Move to the next unit whose number is, else contains what was searched; with `here` the cursor's counts."""
        units = self.units
        row = find_number(units.unit_numbers, self._matches, units.cursor if here else units.cursor + step, step)
        if row is None:
            missing = f"no unit {printable(self._matches, 40)} among those shown"
            self.notify(missing, severity="warning", markup=False)
        else:
            units.move_to(row)

    def go_to_layer(self, layer: LayerKey, unit: Unit | None = None) -> None:
        """Show a layer, from its top or with the cursor on `unit`."""
        self.show_layer(layer, unit)
        self.layers.go_to(layer)

    def go_to(self, unit: Unit) -> None:
        """Put the cursor on a unit of any layer, in the panes; a filter that hides it is cleared."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.go_to_layer((unit.model, unit.layer), unit)
        if self.units.unit != unit and self._condition:
            self._anchor = unit
            self._filter("")
            self.say("the filter is cleared: it hid this unit")

    # Marks

    def action_mark(self) -> None:
        """Mark the unit, or take its mark away."""
        unit, marks = self.units.unit, self.session.marks
        if unit is not None:
            self._change_mark(partial(marks.remove, unit) if unit in marks else partial(marks.set, unit))

    def action_note(self) -> None:
        """Open the prompt for a note on the unit."""
        self._anchor = self.units.unit
        if self._anchor is not None:
            self.prompt.open(Purpose.NOTE, self.session.marks.note(self._anchor))

    def _change_mark(self, change: Callable[[], None]) -> None:
        """Change a mark, and show it wherever its unit is."""
        try:
            change()
        except ShapebiasError as error:
            self.complain(error)
        self.units.refresh()
        for panel in self._panels:
            panel.write()

    def action_marked(self, step: int) -> None:
        """Go to the next marked unit, in the order of layers and units, or around."""
        if self.layer is None:
            return
        unit = self.session.marks.next_to(self.units.unit or Unit(*self.layer, 0), step)
        if unit is None:
            self.say("no unit is marked: m marks one")
        else:
            self.go_to(unit)

    # Saving

    def action_save_picture(self) -> None:
        """Save the unit's images, in the view that is shown."""
        unit = self.units.unit
        if unit is not None:
            self._save(partial(save_unit_picture, self.session.store, unit, self._panels[-1].grid.view))

    def action_save_table(self) -> None:
        """Save the rows and columns that are shown."""
        table = self.units.shown_table
        if table is not None:
            self._save(partial(save_table, self.session.store, table))

    def action_save_marks(self) -> None:
        """Save the marked units."""
        self._save(partial(save_marks, self.session.store, self.session.marks))

    def _save(self, save: Callable[[], Path]) -> None:
        """Save on a thread, and say where."""

        def run() -> None:
            try:
                path = save()
            except ShapebiasError as error:
                self.call_later(self.complain, error)
            else:
                self.call_later(self.say, f"saved {path.resolve()}")

        self.say("saving …")
        self.run_worker(run, thread=True)

    # The command palette

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield Textual's commands, and those for what is shown now."""
        yield from super().get_system_commands(screen)
        yield from app_commands(self._run_command)
        yield from sort_commands(self.units.columns[1:], self.units.sort)
        yield from layer_commands(self.layers.keys, self.go_to_layer)

    def _run_command(self, action: str) -> None:
        """Run an action that was chosen by its name: over other screens, too, where its key is off."""
        _, name, values = actions.parse(action)
        getattr(self, f"action_{name}")(*values)


def run_explorer(store: Store, start: Unit | None, graphics: str, debug_stats: bool = False) -> None:
    """Ask the terminal what it can show, and open the explorer in it.

    `start` is the unit under the cursor at first, None for the first one of the store. `graphics` is a `Graphics` or
    `auto`. Raises UsageError for other graphics, ShapebiasError where a mistake in the program ends the explorer.
    """
    terminal = query_terminal()
    Explorer(store, start, terminal, terminal.choose(graphics), debug_stats=debug_stats).run_to_end()
