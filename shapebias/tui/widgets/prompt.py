"""The line for the name of a unit, for a filter or for a note, and below it a line with hints and mistakes."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from shapebias.core.text import plain, printable


class Purpose(StrEnum):
    """The purpose of the text that is typed. Its value is the label at the left of the line."""

    FIND = "find"
    FILTER = "filter"
    NOTE = "note"
    PAGE = "page"


HINTS = {
    Purpose.FIND: "42, conv5, conv5/42, Model/conv5/42, a concept, a class    Enter goes there; n N next, previous",
    Purpose.FILTER: "such as  smooth > .8 and not top 10% selectivity    Tab completes, ↑ the last, @NAME = … saves",
    Purpose.NOTE: "Enter keeps the note, Escape leaves it as it was",
    Purpose.PAGE: "Enter writes the page: .html is one file, .md has its pictures beside it    Escape leaves",
}


class PlainInput(Input):
    """An input without hidden characters: Textual would send them to the terminal as they were pasted."""

    def validate_value(self, value: str) -> str:
        """Return the value without hidden characters."""
        return plain(value)


class WordSuggester(Suggester):
    """Shows behind the cursor how the word that is typed goes on; → takes it."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.words: Sequence[str] = ()

    async def get_suggestion(self, value: str) -> str | None:
        """Return the text with its last word completed, None where no word begins like it."""
        return value + self.rest(value) if self.rest(value) else None

    def rest(self, text: str) -> str:
        """Return how the word at the end of a text goes on; empty where it is one of the words, or begins none."""
        begun = re.split(r"[^\w.@-]", text)[-1]
        fitting = [word for word in self.words if begun and word.startswith(begun)]
        return fitting[0][len(begun) :] if fitting and begun not in fitting else ""


class Prompt(Vertical):
    """Two lines that stand where the status line and the footer are otherwise, so that nothing else moves."""

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
        Binding("up", "recall(-1)", "The one before", show=False),
        Binding("down", "recall(1)", "The one after", show=False),
    ]

    class Changed(Message):
        """Says that the text has changed, and is not final yet."""

        def __init__(self, purpose: Purpose, text: str) -> None:
            super().__init__()
            self.purpose, self.text = purpose, text

    class Submitted(Changed):
        """Says that Enter was pressed. The prompt stays open until whoever accepts the text closes it."""

    class Cancelled(Changed):
        """Says that Escape was pressed, and that the prompt has closed."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.purpose = Purpose.FIND
        self._label, self._hint = Static(), Static(classes="hint", markup=False)
        self._suggester = WordSuggester()
        self._texts = [""]  # what ↑ and ↓ go through: texts of before, then what is being written
        self._recalled = 0
        self._input = PlainInput(compact=True, select_on_focus=False, suggester=self._suggester)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self._label
            yield self._input
        yield self._hint

    def open(self, purpose: Purpose, text: str, words: Sequence[str] = (), recent: Sequence[str] = ()) -> None:
        """Open the prompt with a text that the user may change.

        words:   words that Tab completes
        recent:  texts that ↑ goes back through, the newest last
        """
        self.purpose, self._suggester.words = purpose, words
        self._texts = [*(one for one in recent if one != text), text]
        self._recalled = len(self._texts) - 1
        self._label.update(purpose.value)
        with self._input.prevent(Input.Changed):
            self._input.value = text
        self._input.cursor_position = len(text)
        self._swap(True)
        self.say(HINTS[purpose])
        self._input.focus()

    def say(self, hint: str) -> None:
        """Write a hint into the line below the text."""
        self._hint.remove_class("-error")
        self._hint.update(printable(f" {hint}"), layout=False)

    def complain(self, error: str, column: int) -> None:
        """Write what is wrong with the text, with an arrow below its `column` (in characters from 1)."""
        before = cell_len(self._input.value[: column - 1]) - int(self._input.scroll_offset.x)
        arrow = len(self.purpose) + 2 + max(before, 0)  # the label, its blank and the input's
        room = self.size.width - arrow - 2
        message = printable(error)
        if cell_len(message) <= room or arrow < cell_len(message) + 2:
            text = f"{' ' * arrow}▲ {message}" if cell_len(message) <= room else f" ▲ {message}"
        else:
            text = f"{message} ▲".rjust(arrow + 1)
        self._hint.add_class("-error")
        self._hint.update(text, layout=False)

    def close(self) -> None:
        """Bring the status line, the footer and the focus of the table back, where the screen has them."""
        self._swap(False)
        for table in self.screen.query("#units"):
            table.focus()

    def _swap(self, prompting: bool) -> None:
        """Show the prompt, or the status line and the footer."""
        self.display = prompting
        for other in self.screen.query("#status, Footer"):
            other.display = not prompting

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self.purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self.purpose, event.value))

    def action_cancel(self) -> None:
        """Close the prompt, and say so."""
        self.close()
        self.post_message(self.Cancelled(self.purpose, self._input.value))

    def action_recall(self, step: int) -> None:
        """Replace the text by the one used before it for a `step` of -1, by the one after it for 1.

        Behind the newest comes the text that the user was writing.
        """
        self._texts[self._recalled] = self._input.value
        self._recalled = min(max(self._recalled + step, 0), len(self._texts) - 1)
        self._input.value = self._texts[self._recalled]
        self._input.cursor_position = len(self._input.value)

    def action_complete(self) -> None:
        """Insert the rest of the word before the cursor, if one of the words begins like it."""
        before = self._input.value[: self._input.cursor_position]
        self._input.insert_text_at_cursor(self._suggester.rest(before))
