"""A unit beside the units that fire on the same images: its twins in other models, those like it in its own."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import OptionList

from shapebias.core.analysis.twins import SimilarUnit, find_twins
from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.tui.messages import GoTo
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.unit_panel import UnitPanel


class TwinsScreen(TellsErrors, Screen[None]):
    """A unit at the left; at the right the one of its `candidates` that is chosen in the list below them.

    Candidates are its twins and the units like it. Enter posts `GoTo` with the chosen one.
    """

    DEFAULT_CSS = """
    TwinsScreen > Horizontal { height: 1fr; }
    TwinsScreen UnitPanel { width: 1fr; }
    TwinsScreen OptionList, TwinsScreen OptionList:focus {
        height: auto; max-height: 25%; min-height: 5; padding: 0; background: $background;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    TwinsScreen.-narrow .unit { display: none; }
    TwinsScreen.-narrow OptionList { max-height: 40%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,t", "app.pop_screen", "Back"),
        Binding("enter", "go", "Go there", priority=True),
        Binding("j", "step('cursor_down')", "Next"),
        Binding("k", "step('cursor_up')", "Previous"),
        Binding("v", "view", "View"),
    ]

    def __init__(self, session: Session, unit: Unit) -> None:
        super().__init__()
        self._session, self.unit = session, unit
        self.panel, self.other = session.new_panel(), session.new_panel()
        self.panel.add_class("unit")
        for panel in (self.panel, self.other):
            panel.follows = False
        self._list = OptionList(markup=False, classes="framed")
        self._say("looking for units that fire on the same images …")
        self.candidates: list[SimilarUnit] = []
        self.reading = True  # as long as there are no candidates to move among

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.panel
            yield self.other
        yield self._list
        yield KeyBar()

    def on_mount(self) -> None:
        self._list.focus()
        self._show(self.panel, self.unit)
        self.run_worker(self._find, thread=True)

    def _show(self, panel: UnitPanel, unit: Unit) -> None:
        """Show a unit in one of the panels, or say why that is not possible."""
        try:
            panel.show(unit, self._session.load((unit.model, unit.layer)), [])
        except ShapebiasError as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        """Write a text into the frame of the list, behind its title."""
        write_frame(self._list, "Twins", text)

    def _find(self) -> None:
        """Find the units that fire on the same images as the screen's unit: the candidates of the list.

        Runs on a thread, since the first search reads the activations of many layers.
        """
        try:
            candidates = find_twins(self._session.correlator, self.unit)
        except ShapebiasError as error:
            self.app.call_later(self._fail, error)
        else:
            self.app.call_later(self._take, candidates)

    def _fail(self, error: ShapebiasError) -> None:
        """Say in the frame of the list why there are no candidates."""
        self.reading = False
        self._say(str(error))

    def _take(self, candidates: list[SimilarUnit]) -> None:
        """List the candidates that were found, the cursor on the first."""
        if not self.is_attached:
            return
        self.candidates, self.reading = candidates, False
        self._say(
            f"correlation with {self.unit} over the images"
            if candidates
            else f"no unit correlates with {self.unit}: its activation is the same for all images, or clipped"
        )
        width = max((len(str(candidate.unit)) for candidate in candidates), default=0)
        self._list.add_options([_line(candidate, width) for candidate in candidates])
        self._list.highlighted = 0 if candidates else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._show(self.other, self.candidates[event.option_index].unit)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.post_message(GoTo(self.candidates[event.option_index].unit))

    async def action_step(self, action: str) -> None:
        """Run an action of the list, which moves its cursor."""
        await self.app.run_action(action, self._list)

    def action_go(self) -> None:
        """Select the candidate under the cursor, or open the image under that of a grid which has the focus."""
        grids = [panel.grid for panel in (self.panel, self.other) if panel.grid.has_focus]
        grids[0].action_open() if grids else self._list.action_select()

    def action_view(self) -> None:
        """Show the images of both units in the next view."""
        for panel in (self.panel, self.other):
            panel.next_view()


def _line(candidate: SimilarUnit, width: int) -> Text:
    """Return a candidate's line: the correlation, its name filled up to `width` characters, its group."""
    line = Text(f" {candidate.correlation:6.3f}  {printable(str(candidate.unit), 80).ljust(width)}")
    return line.append(f"  {candidate.group.value}", style="dim")
