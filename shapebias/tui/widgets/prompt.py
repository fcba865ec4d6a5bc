"""The line in which a unit is searched, a filter or a note is written, and the line below that says how it goes."""

import re
from collections.abc import Sequence
from enum import StrEnum
from os.path import commonprefix
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from shapebias.core.text import plain, printable


class Purpose(StrEnum):
    """What is being written, as the line's label."""

    FIND = "find"
    FILTER = "filter"
    NOTE = "note"


HINTS = {
    Purpose.FIND: "42, conv5, conv5/42, Model/conv5/42    Enter goes there; n N next, previous",
    Purpose.FILTER: "such as  max > 2 and not top 10% selectivity    Tab completes, Enter keeps, Escape clears",
    Purpose.NOTE: "Enter keeps the note, Escape leaves it as it was",
}


class PlainInput(Input):
    """Takes no hidden characters: Textual would send them to the terminal as they were pasted."""

    def validate_value(self, value: str) -> str:
        return plain(value)


class Prompt(Vertical):
    """Takes the places of the status line and the footer, so that nothing else moves. Posts what happens."""

    DEFAULT_CSS = """
    Prompt { display: none; height: 2; }
    Prompt > Horizontal { height: 1; background: $surface; }
    Prompt Static { height: 1; width: auto; padding: 0 1; text-style: bold; }
    Prompt Input { height: 1; width: 1fr; border: none; padding: 0; }
    Prompt > .hint { width: 1fr; text-style: none; color: $text-muted; background: $panel; padding: 0; }
    Prompt > .hint.-error { color: $text-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Close", show=False),
        Binding("tab", "complete", "Complete", show=False),
    ]

    class Changed(Message):
        """The text is another one, and not yet final."""

        def __init__(self, purpose: Purpose, text: str) -> None:
            super().__init__()
            self.purpose, self.text = purpose, text

    class Submitted(Changed):
        """Enter was pressed; who takes the text closes the prompt."""

    class Cancelled(Changed):
        """Escape was pressed, and the prompt has closed."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.purpose = Purpose.FIND
        self._words: Sequence[str] = ()
        self._label, self._hint = Static(), Static(classes="hint", markup=False)
        self._input = PlainInput(compact=True, select_on_focus=False)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self._label
            yield self._input
        yield self._hint

    def open(self, purpose: Purpose, text: str, words: Sequence[str] = ()) -> None:
        """Shows the prompt with a text to change and the keyboard's focus; Tab completes `words`."""
        self.purpose, self._words = purpose, words
        self._label.update(purpose.value)
        with self._input.prevent(Input.Changed):
            self._input.value = text
        self._input.cursor_position = len(text)
        self._swap(True)
        self.say(HINTS[purpose])
        self._input.focus()

    def say(self, hint: str) -> None:
        """Writes the line below the text."""
        self._hint.remove_class("-error")
        self._hint.update(printable(f" {hint}"), layout=False)

    def complain(self, error: str, column: int) -> None:
        """Says what is wrong with the text, an arrow below its `column` (in characters from 1)."""
        before = cell_len(self._input.value[: column - 1]) - int(self._input.scroll_offset.x)
        place = len(self.purpose) + 2 + max(before, 0)  # the label, its blank and the input's
        room = self.size.width - place - 2
        message = printable(error)
        if cell_len(message) <= room or place < cell_len(message) + 2:
            text = f"{' ' * place}▲ {message}" if cell_len(message) <= room else f" ▲ {message}"
        else:
            text = f"{message} ▲".rjust(place + 1)
        self._hint.add_class("-error")
        self._hint.update(text, layout=False)

    def close(self) -> None:
        """Gives the place and the focus back."""
        self._swap(False)
        self.screen.query_one("#units").focus()

    def _swap(self, prompting: bool) -> None:
        self.display = prompting
        for other in ("#status", "Footer"):
            self.screen.query_one(other).display = not prompting

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self.purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self.purpose, event.value))

    def action_cancel(self) -> None:
        self.close()
        self.post_message(self.Cancelled(self.purpose, self._input.value))

    def action_complete(self) -> None:
        """Writes what all words that go on like this have in common."""
        begun = re.split(r"[^\w.]", self._input.value[: self._input.cursor_position])[-1]
        fitting = [word for word in self._words if word.startswith(begun)] if begun else []
        common = commonprefix(fitting)  # noqa: RUF071 (of strings, as is meant)
        self._input.insert_text_at_cursor(common[len(begun) :])
