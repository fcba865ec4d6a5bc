"""The models and their layers: how many units each layer has, their mean smoothness, how many are detectors."""

import math
from contextlib import suppress
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from shapebias.core.analysis.comparison import summarize
from shapebias.core.analysis.dissection import detectors_in
from shapebias.core.errors import ShapebiasError
from shapebias.core.store import schema
from shapebias.core.store.reader import Store
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.text_plots import bar

LayerKey = tuple[str, str]  # a model and one of its layers
Scope = tuple[str | None, str | None]  # a model, None for every one, and a layer of it, None for every one
ALL: Scope = (None, None)

_NAME, _BAR = 20, 6  # cells for a name and for a bar of 0 to 1
_SHORTEST = 0.15  # the bar, from 0 to 1, of the roughest layer: the bars span the range of the layers' means
_LATER = 0.2  # seconds after the start when there is time to read every layer


class LayerList(Tree[Scope]):
    """A tree of the store: a row for all layers, then a branch for each model with its layers as leaves.

    The data of a node is the scope whose units the table shows when the cursor is there.
    """

    DEFAULT_CSS = """
    LayerList { width: auto; max-width: 42; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
    ]

    def __init__(self, store: Store, id: str | None = None) -> None:
        super().__init__("store", id=id, classes="framed")
        write_frame(self, "Layers")
        self.show_root = False
        self.guide_depth = 2
        self._store = store
        self.auto_expand = False  # Enter on a model shows the units of all its layers
        self._scopes: dict[Scope, TreeNode[Scope]] = {}
        names = [printable(name, _NAME) for label in store.models for name in store.layers(label)]
        self._widest = max(8, *map(cell_width, names))  # no narrower than the row of all layers
        units = sum(layer.units for label in store.models for layer in store.layers(label).values())
        whole = Text.assemble((padded("all layers", self._widest + 2), "italic"), (f" {units:>5}", "dim"))
        self._scopes[ALL] = self.root.add_leaf(whole, ALL)
        dissected = any(part.has(schema.CONCEPTS) for part, _ in store.parts)
        for label in store.models:
            title = Text(padded(printable(label, self._widest + 2), self._widest + 2), style="bold")
            title.append(" units smooth" + dissected * " det.", "not bold dim")
            branch = self._scopes[label, None] = self.root.add(title, (label, None), expand=True)
            for name in store.layers(label):
                self._scopes[label, name] = branch.add_leaf(self._line((label, name)), (label, name))

    def on_mount(self) -> None:
        self.set_timer(_LATER, lambda: self.run_worker(self._summarize, thread=True))

    def _line(self, key: LayerKey, smoothness: float = math.nan, detectors: int | None = None) -> Text:
        """Return a layer's line: its name, how many units it has, a bar, how many of its units are detectors.

        smoothness:  the length of the bar, 0 to 1; NaN while it is unknown
        detectors:   None while the number is unknown, or where nothing was dissected
        """
        model, name = key
        units = self._store.layers(model)[name].units
        numbers = f" {units:>5} {bar(smoothness, _BAR)}" + ("" if detectors is None else f" {detectors:>4}")
        return Text.assemble(padded(printable(name, _NAME), self._widest), (numbers, "dim"))

    def _summarize(self) -> None:
        """Write the numbers of every layer. Runs on a thread, as it reads them all."""
        with suppress(ShapebiasError):  # a damaged store is reported when the user asks for its data
            means = {key: summarize(self._store, *key, "smoothness").mean for key in self.keys}
            known = [mean for mean in means.values() if not math.isnan(mean)]
            low, high = min(known, default=0.0), max(known, default=1.0)
            lines: dict[LayerKey, Text] = {}
            for key, mean in means.items():
                share = _SHORTEST + (1 - _SHORTEST) * (mean - low) / (high - low) if high > low else mean
                lines[key] = self._line(key, share, detectors_in(self._store, *key))
            self.app.call_later(self._write, lines)

    def _write(self, lines: dict[LayerKey, Text]) -> None:
        """Write the lines of all layers at once, so that no reader sees some with numbers and some without."""
        for key, line in lines.items():
            self._scopes[key].set_label(line)

    @property
    def keys(self) -> list[LayerKey]:
        """All layers, from the top."""
        return [(model, layer) for model, layer in self._scopes if model is not None and layer is not None]

    def go_to(self, scope: Scope) -> None:
        """Put the cursor on a layer, a model, or the row of all layers. Raises KeyError for another scope."""
        self.move_cursor(self._scopes[scope])

    def render_label(self, node: TreeNode[Scope], base_style: Style, style: Style) -> Text:
        label = node.label.copy() if isinstance(node.label, Text) else Text(str(node.label))
        label.stylize(style)
        return label
