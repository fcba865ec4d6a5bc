"""The help: a sheet beside the pictures with every key, and what the metrics mean."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from shapebias.core.metrics import METRICS
from shapebias.tui.keys import HELP
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.key_bar import KeyBar

_LEAST, _MOST = 40, 100  # cells: the least and the greatest width of the sheet
_STEP = 3  # lines that j and k scroll by


class HelpScreen(TellsErrors, ModalScreen[None]):
    """The help: a sheet at the left of the pictures of the screen underneath, which stay visible.

    Where there is too little room beside the pictures, the sheet covers the whole screen.
    """

    DEFAULT_CSS = """
    HelpScreen { background: transparent; align: left top; }
    HelpScreen > VerticalScroll { height: 1fr; padding: 0 1; background: $surface; }
    HelpScreen .metrics, HelpScreen.-metrics .keys { display: none; }
    HelpScreen.-metrics .metrics { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("backspace,question_mark,q,enter", "dismiss", "Close", show=False),
        Binding("tab", "turn", "Keys ↔ metrics", priority=True),
        Binding("left,right", "turn", show=False),
        Binding("j", "scroll(1)", "Down"),
        Binding("k", "scroll(-1)", "Up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sheet = VerticalScroll(
            Static(keys_text(), classes="keys"), Static(metrics_text(), classes="metrics"), classes="framed"
        )

    @property
    def room(self) -> int:
        """The width in cells of the free region at the left of the pictures on the screen underneath.

        It is 0 where the sheet needs more, or where there are no pictures.
        """
        below = self.app.screen_stack[self.app.screen_stack.index(self) - 1]
        lefts = [grid.region.x for grid in below.query(GridView) if grid.picture is not None and grid.is_on_screen]
        room = min(lefts, default=0) - 1
        return room if room >= _LEAST else 0

    def compose(self) -> ComposeResult:
        yield self._sheet
        yield KeyBar()

    def on_mount(self) -> None:
        self._sheet.styles.width = min(self.room, _MOST) if self.room else "100%"
        self._write_frame()
        self._sheet.focus()

    def _write_frame(self) -> None:
        """Write into the frame which of the two pages, keys or metrics, is displayed."""
        pages = ("Metrics", "Tab: keys") if self.has_class("-metrics") else ("Keys", "Tab: metrics")
        write_frame(self._sheet, *pages)

    def action_turn(self) -> None:
        """Show the metrics, or the keys again."""
        self.toggle_class("-metrics")
        self._sheet.scroll_home(animate=False)
        self._write_frame()

    def action_scroll(self, steps: int) -> None:
        """Scroll down by so many steps, up where they are negative."""
        self._sheet.scroll_relative(y=_STEP * steps, animate=False)


def keys_text() -> Table:
    """Return a table with a row for each line of `HELP`: its keys and its text, in groups with headings."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for number, (group, lines) in enumerate(HELP.items()):
        if number:
            table.add_row("", "")
        table.add_row(Text(group, style="underline"), "")
        for line in lines:
            if line.text:
                table.add_row(line.keys, line.text)
    return table


def metrics_text() -> Table:
    """Return a table with a row for each metric: its title, what it means, its formula, its source."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for metric in METRICS.values():
        meaning = Text(f"{metric.low} … {metric.high}")
        meaning.append(f"\n{metric.formula}; {metric.source}", style="dim")
        table.add_row(metric.title, meaning)
    return table
