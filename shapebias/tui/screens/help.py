"""The help screen: every key, and what the metrics mean."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from shapebias.core.metrics import METRICS

_KEYS = (
    ("j k ↓ ↑", "next, previous unit"),
    ("g G", "first, last unit"),
    ("Ctrl-d Ctrl-u", "a page down, up"),
    ("Tab", "layers ↔ units"),
    ("[ ]", "previous, next layer"),
    ("s S", "sort by the next, previous column (or click its header)"),
    ("r", "reverse the order"),
    ("f", "filter: max > 2 and not top 10% selectivity; Escape clears it"),
    ("/ n N", "find a unit or layer: 42, conv5, conv5/42, Model/conv5/42; next, previous match"),
    ("c", "choose the columns, and with ← → their widths"),
    ("m M", "mark the unit, write a note"),
    ("> <", "next, previous marked unit"),
    ("p e", "save the picture (PNG), the table (CSV)"),
    ("v", "crops around the maximum, images with the activation mask, whole images"),
    ("Enter", "the unit on the whole screen; again, or 1 to 9, or a click: one image with its activation map"),
    ("d", "all numbers of the unit with rank and meaning, its concepts, its images"),
    ("l o", "the layer as a whole, beside that of other models; the models: shape bias, accuracy, sources"),
    ("t", "twins: the units that fire on the same images, in other models and in this one; Enter goes to one"),
    ("i", "by image: what fires on an image, how the models decided for it; / finds images, n N next, previous"),
    ("Escape", "back, from every screen"),
    ("Ctrl-p", "every command by name: themes, layers, sorts, the marks as Markdown"),
    ("Ctrl-z", "back to the shell, whose fg returns here"),
    ("q", "quit"),
)


class HelpScreen(ModalScreen[None]):
    """Closes at Escape, ? or q."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 90%; max-width: 104; height: auto; max-height: 90%; padding: 1 2;
        background: $panel; border: round $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(help_text())


def help_text() -> Table:
    """Keys, then metrics."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for keys, meaning in _KEYS:
        table.add_row(keys, meaning)
    table.add_row("", "")
    for metric in METRICS.values():
        explained = Text(metric.formula)
        explained.append(f"\n{metric.low} … {metric.high}; {metric.source}", style="dim")
        table.add_row(metric.title, explained)
    return table
