"""A column with the results of one model for an image."""

from collections.abc import Collection
from dataclasses import replace

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from shapebias.core.analysis.by_image import Decision, Firing, OnImage, decision_text
from shapebias.core.numbers import number_text
from shapebias.core.store.reader import Unit
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.widgets.framed import MUTED
from shapebias.tui.widgets.text_plots import bar

_LAYER, _VALUE = 16, 9  # cells for a layer's name and an activation
_BAR = range(4, 21)  # cells for a bar
_VERDICTS = {"right": "$text-success", "wrong": "$text-error"}


class ModelColumn(Vertical):
    """A model's decision for an image, and the units that fire most on it, layer by layer."""

    DEFAULT_CSS = """
    ModelColumn { width: 1fr; min-width: 30; padding: 0 1; }
    ModelColumn > Static { height: auto; }
    ModelColumn OptionList, ModelColumn OptionList:focus {
        height: 1fr; border: none; padding: 0; background: $background; background-tint: $foreground 0%;
        text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    """

    def __init__(self, color: str) -> None:
        super().__init__()
        self._color = color
        self._head = Static()
        self._result: tuple[OnImage, Collection[str]] | None = None
        self._decided = True
        self._firing: list[Firing] = []
        self._room = 0  # cells for bar and value
        self.units = OptionList(markup=False)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self.units

    @property
    def firing(self) -> Firing | None:
        """The unit under this column's cursor, with its activation; None where there is none."""
        row = self.units.highlighted
        return self._firing[row] if row is not None and row < len(self._firing) else None

    def on_resize(self) -> None:
        if self._result is not None and self.firing is not None:
            self.show(*self._result, self.firing.unit, decided=self._decided)

    def show(self, result: OnImage, known: Collection[str], unit: Unit, *, decided: bool = True) -> None:
        """Show the results of a model for an image, with the cursor on `unit`, or on the same row as before.

        `known` are lines of `result.missing` that stand elsewhere on the screen, so that they are left out here;
        `decided` says whether the model's decision stands here.
        """
        before = self.units.highlighted or 0
        self._result, self._decided = (result, known), decided
        self._firing = [firing for layer in result.layers.values() for firing in layer]
        widest = max(cell_width(printable(layer, _LAYER)) for layer in ("layer", *result.layers))
        self._room = self.units.scrollable_content_region.width - widest - 14
        titles = self._line("layer".ljust(widest), "unit", "of max", "value").plain
        self._head.update(_heading(result if decided else replace(result, decision=None), known, titles))
        self.units.clear_options()
        for layer, firings in result.layers.items():
            names = [padded(printable(layer, _LAYER), widest), *[" " * widest] * len(firings)]
            self.units.add_options(
                [self._unit_line(name, firing) for name, firing in zip(names, firings, strict=False)]
            )
        rows = [row for row, firing in enumerate(self._firing) if firing.unit == unit]
        row = rows[0] if rows else min(before, len(self._firing) - 1)
        self.units.highlighted = row if self._firing else None
        self.call_after_refresh(self.units.scroll_to_highlight)  # once the heading has its height

    def _unit_line(self, layer: str, firing: Firing) -> Text:
        """Return the line of a unit."""
        cells = str(firing.unit.index), number_text(firing.relative), number_text(firing.activation)
        return self._line(layer, *cells, firing.relative)

    def _line(self, layer: str, unit: str, relative: str, value: str, share: float = 0.0) -> Text:
        """Return a line of cells with a bar for `share`, 0 to 1; narrow columns have no bar, then no value either."""
        line = Text.assemble((layer, "dim"), f" {unit:>5}  {relative:>6}")
        valued, drawn = self._room >= _VALUE, min(self._room - _VALUE - 1, _BAR[-1])
        if drawn in _BAR:
            line.append(" ").append(bar(share, drawn), self._color)
        return line.append(value.rjust(_VALUE) if valued else "")


def _heading(result: OnImage, known: Collection[str], titles: str) -> Content:
    """Return lines: the model's name, its decision, what is missing (but for `known`), the `titles` of the list."""
    lines = [Content(printable(result.model, 40)).stylize("bold")]
    if result.decision is not None:
        lines.append(decision_line("", result.decision))
    muted = [printable(line) for line in result.missing if line not in known] + ([titles] if result.layers else [])
    return Content("\n").join([*lines, *(Content(line).stylize(MUTED) for line in muted)])


def decision_line(model: str, decision: Decision) -> Content:
    """Return what a model decides, coloured where that is right or wrong; the `model` may be empty."""
    colour = _VERDICTS.get(decision.verdict or "", "$text")
    name = f"{printable(model, 40)} " if model else ""
    return Content.assemble(name, ("predicts ", MUTED), (decision_text(decision), colour))
