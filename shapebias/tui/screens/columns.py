"""The screen that chooses the table's columns and their widths."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from shapebias.core.metrics import METRICS
from shapebias.tui.widgets.unit_table import column_width


class ColumnsScreen(ModalScreen[None]):
    """A list of metrics, switched by the space bar, with their widths; after every change `choose` gets the hidden ones
    and the widths that are not as usual."""

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
        Binding("escape,enter,c,q", "dismiss", "Close", priority=True),
        Binding("space", "switch", "Show, hide", priority=True),
        Binding("a", "show_all", "All"),
        Binding("right,plus", "widen(1)", "Wider"),
        Binding("left,minus", "widen(-1)", "Narrower"),
        Binding("j", "step('cursor_down')", show=False),
        Binding("k", "step('cursor_up')", show=False),
    ]

    def __init__(
        self,
        metrics: Sequence[str],
        hidden: Collection[str],
        widths: Mapping[str, int],
        choose: Callable[[list[str], dict[str, int]], None],
    ) -> None:
        super().__init__()
        self._metrics, self._choose = metrics, choose
        self._hidden, self._widths = set(hidden).intersection(metrics), dict(widths)
        self._list = OptionList(*map(self._line, metrics))

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self._list
            yield Static("Space shows or hides, ← → width, a all, Escape closes")

    def on_mount(self) -> None:
        self._list.focus()
        self._list.highlighted = 0

    def _line(self, name: str) -> Text:
        metric = METRICS[name]
        text = Text("  " if name in self._hidden else "✓ ", overflow="ellipsis", no_wrap=True)
        text.append(metric.title.ljust(max(map(len, self._metrics))))
        text.append(f" {column_width(name, self._widths):>2}", style="dim")
        text.append(f"  {metric.low} … {metric.high}", style="dim")
        return text

    def _change(self, hidden: set[str]) -> None:
        self._hidden = hidden
        for place, name in enumerate(self._metrics):
            self._list.replace_option_prompt_at_index(place, self._line(name))
        self._choose([name for name in self._metrics if name in hidden], dict(self._widths))

    @property
    def _chosen(self) -> str | None:
        place = self._list.highlighted
        return None if place is None else self._metrics[place]

    def action_switch(self) -> None:
        if self._chosen is not None:
            self._change(self._hidden ^ {self._chosen})

    def action_show_all(self) -> None:
        self._change(set())

    def action_widen(self, cells: int) -> None:
        """Makes the column under the cursor wider by so many cells, as far as it goes."""
        if self._chosen is not None:
            width = column_width(self._chosen, self._widths) + cells
            self._widths[self._chosen] = column_width(self._chosen, {self._chosen: width})
            self._change(self._hidden)

    async def action_step(self, action: str) -> None:
        await self.app.run_action(action, self._list)

    def on_option_list_option_selected(self) -> None:
        """A click."""
        self.action_switch()
