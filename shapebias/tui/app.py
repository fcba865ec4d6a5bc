"""The explorer: what its keys, widgets and screens make it do. What the panes show is in panes.py."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual import actions
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import Tree

from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Store, Unit
from shapebias.tui.keeping import Keeping
from shapebias.tui.keys import CURSOR_ONLY, KEYS, PANES_ONLY, app_commands, layer_commands, sort_commands
from shapebias.tui.messages import ColumnsChosen, GoTo, OpenByImage, OpenImage
from shapebias.tui.resizing import PaneRow
from shapebias.tui.screens import SCREENS, Follower
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.image import ImageScreen, NoImagesError
from shapebias.tui.screens.pair import PairScreen
from shapebias.tui.terminal.query import query_terminal
from shapebias.tui.widgets.layer_list import Scope
from shapebias.tui.widgets.prompt import Prompt, Purpose
from shapebias.tui.widgets.unit_table import UnitTableView

_ROWS = [(0, "-low"), (12, "-high")]  # CSS classes of the screens, each with the rows from which it holds
_BREAKPOINTS = [(0, "-narrow"), (76, "-normal"), (112, "-wide")]  # the same for columns


class Explorer(Keeping):
    """The app of `shapebias explore`: panes with the units of a store, screens over them, and what the keys do."""

    TITLE = "shapebias"
    CSS_PATH = "explorer.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS, VERTICAL_BREAKPOINTS = _BREAKPOINTS, _ROWS
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    # What the widgets say

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Scope]) -> None:
        """Show the units of a layer as soon as the cursor is on it.

        A model or the row of all layers waits for Enter, as there may be many units to read.
        """
        if event.node.data is not None and None not in event.node.data and event.control.has_focus:
            self.show_units(event.node.data)

    def on_tree_node_selected(self, event: Tree.NodeSelected[Scope]) -> None:
        if event.node.data is not None:
            self.show_units(event.node.data)
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
            if isinstance(self.screen, Follower):
                self.screen.follow(event.unit)
        except ShapebiasError as error:
            self.complain(error)
        self._show_status()
        self._rest()

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        if event.purpose is Purpose.FILTER:
            self._filter(event.text)
        elif event.purpose is Purpose.FIND and (unit := self._sought(event.text.strip())) is not None:
            self.panel.grid.prepare(unit)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        if event.purpose is Purpose.FILTER and not self._filter(event.text):
            return
        self.prompt.close()
        if event.purpose is Purpose.FILTER:
            self._keep_filter(event.text)
        elif event.purpose is Purpose.FIND:
            self._find(event.text.strip())
        elif event.purpose is Purpose.NOTE and self._anchor is not None:
            self._change_marks({self._anchor: event.text.strip()})
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
        """Show the chosen columns, and keep the choice for later runs.

        Metrics that the table does not have stay hidden if they were.
        """
        settings = self.session.settings
        others = [name for name in settings.hidden if self.table is None or name not in self.table.columns]
        settings.hidden, settings.widths = [*others, *event.hidden], event.widths
        settings.save()
        self.units.change_columns(settings.hidden, settings.widths)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether the keys of an action work now; where not, the footer does not have them either.

        Off are, over another screen, the actions of the panes, and those of the cursor unless a panel of that screen
        follows it; while a prompt is open, `other_side`, as Tab completes words there; over a modal screen, `export`.
        """
        if action == "export" and self.screen_stack and isinstance(self.screen, ModalScreen):
            return False
        if action == "next_pane" and self.screen_stack and self.prompt.display:
            return False
        if len(self.screen_stack) > 1 and action in CURSOR_ONLY and len(self._panels) == 1:
            return False  # nothing on that screen would show where the cursor goes
        return len(self.screen_stack) == 1 or action not in PANES_ONLY or parameters == ("help",)

    def action_next_pane(self, step: int) -> None:
        """Move the focus on from the units to the layers, to the images and back; for a `step` of -1 the other way."""
        panes = [pane for pane in (self.units, self.layers, self.panel.grid) if pane.focusable and pane.is_on_screen]
        position = next((index for index, pane in enumerate(panes) if pane.has_focus), 0)
        pane = panes[(position + step) % len(panes)]
        pane.focus()
        if pane is self.layers and self.scope is not None:
            self.layers.go_to(self.scope)

    def action_widen(self, steps: int) -> None:
        """Make the pane with the focus (layers or units) wider by so many steps, narrower where they are negative.

        For 0 steps all panes become as wide as usual.
        """
        row = self.screen_stack[0].query_one(PaneRow)
        if steps:
            row.widen(self.layers.parent if self.layers.has_focus else self.units, steps)  # type: ignore[arg-type]  # its parent is a widget
        else:
            row.forget()

    async def action_table(self, action: str) -> None:
        """Run an action of the unit table, such as `move(1)`."""
        await self.run_action(action, default_namespace=self.units)

    def action_view(self) -> None:
        """Show the unit's images in the next view (`View`), and keep that view for later runs."""
        self._panels[-1].next_view()
        self.session.settings.view = self._panels[-1].grid.view
        self.session.settings.save()

    def action_screen(self, name: str) -> None:
        """Open the screen of this name in `screens.SCREENS`, for the layer and the unit under the cursor."""
        self.session.sorted_by = self.units.sort_by
        self._open(lambda: SCREENS[name](self.session, self.layer, self.units.unit))

    def action_keep(self) -> None:
        """Keep the unit under the cursor for a comparison, or no longer where it is the kept one.

        Where another unit is kept, show the two side by side.
        """
        unit, session = self.units.unit, self.session
        if unit is None:
            return
        if session.kept in (None, unit):
            session.kept = unit if session.kept is None else None
            self.say(
                f"kept {unit}: press x on another unit to see both" if session.kept else f"{unit} is no longer kept"
            )
        else:
            kept = session.kept
            self._open(lambda: PairScreen(session, kept, unit))

    def action_image(self, rank: int) -> None:
        """Open the screen of the unit's top image of this `rank` (0: the strongest), of the last where it has fewer."""
        unit = self.units.unit
        if unit is not None:
            self._open(lambda: ImageScreen(self.session, UnitImage(unit, rank)))

    def _open(self, make: Callable[[], Screen[Any] | None]) -> None:
        """Open the screen that `make` returns, if it returns one; tell the user of a ShapebiasError that it raises."""
        try:
            screen = make()
        except NoImagesError as error:
            self.say(str(error))
        except ShapebiasError as error:
            self.complain(error)
        else:
            if screen is not None:
                self.push_screen(screen)

    # The command palette

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the palette's commands: Textual's, those of `keys.py`, sorts by a visible column, and the layers."""
        yield from super().get_system_commands(screen)
        yield from app_commands(self._run_command)
        yield from sort_commands(self.units.columns[1:], self.units.sort)
        yield from layer_commands(self.layers.keys, self.go_to_layer)

    def _run_command(self, action: str) -> None:
        """Run an action, `NAME` or `NAME(VALUES)`, from the palette: over other screens, too, where its key is off."""
        _, name, values = actions.parse(action)
        getattr(self, f"action_{name}")(*values)


def run_explorer(store: Store, start: Unit | None, graphics: str, debug_stats: bool = False) -> None:
    """Ask the terminal what it can show, and run the explorer in it until the user quits.

    start:        the unit under the cursor at first; None for the first one of the store
    graphics:     a value of `Graphics`, or `auto` for the best that the terminal has
    debug_stats:  see `Panes`

    Raises UsageError for other graphics, and ShapebiasError where a damaged store or a mistake in the program ends the
    explorer.
    """
    terminal = query_terminal()
    Explorer(store, start, terminal, terminal.choose(graphics), debug_stats=debug_stats).run_to_end()
