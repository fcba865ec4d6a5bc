"""A line at the bottom of any screen, to write a text such as a file's name in."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.screen import ModalScreen

from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.prompt import Prompt, Purpose


class AskScreen(TellsErrors, ModalScreen[str]):
    """Asks for a text, with `text` as the first proposal. The result is the text that was written, None after Escape.

    `problem` returns what is wrong with a text, "" where nothing is. Where Enter finds something wrong, the user is
    told, and the screen stays open.
    """

    DEFAULT_CSS = """
    AskScreen { background: transparent; align: left bottom; }
    AskScreen > Prompt { width: 100%; }
    """

    def __init__(self, purpose: Purpose, text: str, problem: Callable[[str], str]) -> None:
        super().__init__()
        self._purpose, self._text, self._problem = purpose, text, problem
        self.prompt = Prompt()

    @property
    def room(self) -> int:
        """The screen's width in cells, so that the pictures above the line stay; 0 where one reaches down to it."""
        below = self.app.screen_stack[self.app.screen_stack.index(self) - 1]
        bottoms = [grid.region.bottom for grid in below.query(GridView) if grid.picture is not None]
        return self.size.width if max(bottoms, default=0) <= self.size.height - 2 else 0

    def compose(self) -> ComposeResult:
        yield self.prompt

    def on_mount(self) -> None:
        self.prompt.open(self._purpose, self._text)

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        event.stop()

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        text = event.text.strip()
        problem = self._problem(text)
        if problem:
            self.prompt.complain(problem, 1)
        else:
            self.dismiss(text)

    def on_prompt_cancelled(self, event: Prompt.Cancelled) -> None:
        event.stop()
        self.dismiss(None)
