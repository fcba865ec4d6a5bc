"""The screen that chooses the table's columns and their widths."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from shapebias.core.metrics import METRICS
from shapebias.tui.messages import ColumnsChosen
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.table_columns import Column


class ColumnsScreen(TellsErrors, ModalScreen[None]):
    """The metrics of a layer, switched by the space bar, with their widths. Posts `ColumnsChosen` at every change."""

    DEFAULT_CSS = """
    ColumnsScreen { align: center middle; }
    ColumnsScreen > Vertical {
        width: 90%; max-width: 90; height: auto; max-height: 90%; padding: 0 1;
        background: $panel; border: round $primary;
    }
    ColumnsScreen OptionList, ColumnsScreen OptionList:focus {
        height: auto; max-height: 100%; border: none; background: $panel; padding: 0;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    ColumnsScreen Static { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter,c,q", "dismiss", "Close", priority=True),
        Binding("space", "switch", "Show, hide", priority=True),
        Binding("a", "show_all", "All"),
        Binding("right,plus", "widen(1)", "Wider"),
        Binding("left,minus", "widen(-1)", "Narrower"),
        Binding("j", "step('cursor_down')", show=False),
        Binding("k", "step('cursor_up')", show=False),
    ]

    def __init__(self, session: Session, layer: LayerKey) -> None:
        """List the metrics of a layer, hidden and as wide as the settings say. Raises StoreError."""
        super().__init__()
        self._table = session.load(layer)
        self._metrics = list(self._table.columns)
        self._hidden = set(session.settings.hidden).intersection(self._metrics)
        self._widths = dict(session.settings.widths)
        self._list = OptionList(*map(self._line, self._metrics))

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self._list
            yield Static("Space shows or hides, ← → width, a shows all, Escape closes")
        yield KeyBar()

    def on_mount(self) -> None:
        self._list.focus()
        self._list.highlighted = 0

    def _line(self, name: str) -> Text:
        """Return the line of the metric `name`: whether it has a column, its title, the column's width, its meaning."""
        metric = METRICS[name]
        text = Text("  " if name in self._hidden else "✓ ", overflow="ellipsis", no_wrap=True)
        text.append(metric.title.ljust(max(map(len, self._metrics))))
        column = Column(self._table, name, self._widths)
        text.append(f" {column.width:>2}", style="dim")
        meaning = f"{metric.low} … {metric.high}"
        text.append(f"  {meaning if column.informs else 'not shown: the same for all units here'}", style="dim")
        return text

    def _change(self, hidden: set[str]) -> None:
        """Hide these metrics, write all lines anew, and tell the app."""
        self._hidden = hidden
        for index, name in enumerate(self._metrics):
            self._list.replace_option_prompt_at_index(index, self._line(name))
        self.post_message(ColumnsChosen([name for name in self._metrics if name in hidden], dict(self._widths)))

    @property
    def _chosen(self) -> str | None:
        """The metric under the cursor."""
        index = self._list.highlighted
        return None if index is None else self._metrics[index]

    def action_switch(self) -> None:
        """Show the metric under the cursor where it is hidden, else hide it."""
        if self._chosen is not None:
            self._change(self._hidden ^ {self._chosen})

    def action_show_all(self) -> None:
        """Show every metric."""
        self._change(set())

    def action_widen(self, cells: int) -> None:
        """Make the column under the cursor wider by so many cells, narrower where negative, within its limits."""
        if self._chosen is not None:
            width = Column(self._table, self._chosen, self._widths).width + cells
            self._widths[self._chosen] = Column(self._table, self._chosen, {self._chosen: width}).width
            self._change(self._hidden)

    async def action_step(self, action: str) -> None:
        """Run an action of the list, which moves its cursor."""
        await self.app.run_action(action, self._list)

    def on_option_list_option_selected(self) -> None:
        """Switch the metric that was clicked."""
        self.action_switch()
