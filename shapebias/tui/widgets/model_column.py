"""What one model makes of an image, as a column."""

from collections.abc import Collection

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from shapebias.core.analysis.by_image import Firing, OnImage, decision_text
from shapebias.core.store.reader import Unit
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.widgets.text_plots import bar

_LAYER, _VALUE = 16, 9  # cells for a layer's name and an activation
_BAR = range(4, 21)  # cells for a bar
_VERDICTS = {"right": "$text-success", "wrong": "$text-error"}


class ModelColumn(Vertical):
    """What one model makes of the image: its decision, and the units that fire most, layer by layer."""

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
        self._said = Static()
        self._found: tuple[OnImage, Collection[str]] | None = None
        self._firing: list[Firing] = []
        self._room = 0  # cells for bar and value
        self.units = OptionList(markup=False)

    def compose(self) -> ComposeResult:
        yield self._said
        yield self.units

    @property
    def firing(self) -> Firing | None:
        """The unit under this column's cursor."""
        place = self.units.highlighted
        return self._firing[place] if place is not None and place < len(self._firing) else None

    def on_resize(self) -> None:
        if self._found is not None and self.firing is not None:
            self.show(*self._found, self.firing.unit)

    def show(self, found: OnImage, known: Collection[str], unit: Unit) -> None:
        """Shows what there is, but for what is missing and `known`; the cursor on `unit` where it is there, else on the
        same line as before."""
        before = self.units.highlighted or 0
        self._found = found, known
        self._firing = [each for units in found.layers.values() for each in units]
        widest = max(cell_width(printable(layer, _LAYER)) for layer in ("layer", *found.layers))
        self._room = self.units.scrollable_content_region.width - widest - 14
        self._said.update(_heading(found, known, self._line("layer".ljust(widest), "unit", "of max", "value").plain))
        self.units.clear_options()
        for layer, units in found.layers.items():
            names = [padded(printable(layer, _LAYER), widest), *[" " * widest] * len(units)]
            self.units.add_options([self._unit_line(name, each) for name, each in zip(names, units, strict=False)])
        here = [place for place, each in enumerate(self._firing) if each.unit == unit]
        place = here[0] if here else min(before, len(self._firing) - 1)
        self.units.highlighted = place if self._firing else None
        self.call_after_refresh(self.units.scroll_to_highlight)  # once the heading has its height

    def _unit_line(self, layer: str, firing: Firing) -> Text:
        cells = str(firing.unit.index), f"{firing.relative:.3f}", f"{firing.activation:.4g}"
        return self._line(layer, *cells, firing.relative)

    def _line(self, layer: str, unit: str, relative: str, value: str, share: float = 0.0) -> Text:
        """In narrow columns without the value, or without a bar."""
        line = Text.assemble((layer, "dim"), f" {unit:>5}  {relative:>6}")
        valued, drawn = self._room >= _VALUE, min(self._room - _VALUE - 1, _BAR[-1])
        if drawn in _BAR:
            line.append(" ").append(bar(share, drawn), self._color)
        return line.append(value.rjust(_VALUE) if valued else "")


def _heading(found: OnImage, known: Collection[str], titles: str) -> Content:
    """The model's name and decision, what is missing, what the numbers are."""
    lines = [Content(printable(found.model, 40)).stylize("bold")]
    if found.decision is not None:
        colour = _VERDICTS.get(found.decision.verdict or "", "$text")
        lines.append(Content.assemble(("decides ", "$text-muted"), (decision_text(found.decision), colour)))
    said = [printable(line) for line in found.missing if line not in known] + ([titles] if found.layers else [])
    return Content("\n").join([*lines, *(Content(line).stylize("$text-muted") for line in said)])
