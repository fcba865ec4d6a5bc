"""The base of screens to read: they scroll, and the key that opened them closes them, too."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widget import Widget

from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.key_bar import KeyBar

_STEP = 3  # lines that j and k scroll by


def reading_keys(key: str) -> list[BindingType]:
    """Return the bindings of a `ReadingScreen` that `key` opens and closes."""
    return [
        Binding(f"escape,backspace,{key},enter", "app.pop_screen", "Back"),
        Binding("j", "scroll(1)", "Down"),
        Binding("k", "scroll(-1)", "Up"),
    ]


class ReadingScreen(TellsErrors, Screen[None]):
    """A screen to read. Subclasses set `BINDINGS` to their `reading_keys`, and define `parts`.

    `heading` is the title of its frame.
    """

    DEFAULT_CSS = "ReadingScreen > VerticalScroll { padding: 0 1; }"
    heading = ""
    BINDINGS: ClassVar[list[BindingType]] = []

    def parts(self) -> list[Widget]:
        """Return the widgets to read, from the top. Raises NotImplementedError unless a subclass defines it."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        page = VerticalScroll(*self.parts(), classes="framed")
        write_frame(page, self.heading)
        yield page
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, steps: int) -> None:
        """Scroll down by so many steps of three lines, up where they are negative."""
        self.query_one(VerticalScroll).scroll_relative(y=_STEP * steps, animate=False)
