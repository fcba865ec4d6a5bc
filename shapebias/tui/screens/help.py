"""The help screen: every key, and what the metrics mean."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from shapebias.core.metrics import METRICS
from shapebias.tui.keys import HELP_LINES


class HelpScreen(ModalScreen[None]):
    """The help, in a box over the panes."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 90%; max-width: 104; height: auto; max-height: 90%; padding: 1 2;
        background: $panel; border: round $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,backspace,question_mark,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(help_text())
        yield Footer()


def help_text() -> Table:
    """Return a row for each line of keys, then one for each metric with its formula, its meaning and its source."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for line in HELP_LINES:
        if line.text:
            table.add_row(line.keys, line.text)
    table.add_row("", "")
    for metric in METRICS.values():
        meaning = Text(metric.formula)
        meaning.append(f"\n{metric.low} … {metric.high}; {metric.source}", style="dim")
        table.add_row(metric.title, meaning)
    return table
